"""A difference that is there is found, one that is not is called noise."""

import numpy as np
import pytest
from gmpab import stats
from gmpab.model import HIGHER, LOWER
from gmpab.stats import BETTER, EQUAL, FEW, NOISE, WORSE, difference


def series(seed: int, centre: float, n: int, spread: float = 0.03) -> list[float]:
    return list(centre * (1 + spread * np.random.default_rng(seed).standard_normal(n)))


@pytest.mark.parametrize("n", [5, 10, 30])
def test_known_difference(n):
    d = difference(series(1, 20, n), series(2, 10, n), LOWER)
    assert d.verdict == BETTER
    assert d.ratio == pytest.approx(2, rel=0.1)
    assert d.low < d.ratio < d.high and d.low > 1.5
    assert difference(series(2, 10, n), series(1, 20, n), LOWER).verdict == WORSE


def test_direction():
    d = difference(series(1, 100, 10), series(2, 150, 10), HIGHER)
    assert d.verdict == BETTER and d.ratio == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("n", [5, 10])
def test_no_difference_is_noise(n, monkeypatch):
    """Of many comparisons of the same with itself 5 % may be called a difference."""
    monkeypatch.setattr(stats, "RESAMPLES", 500)
    verdicts = [
        difference(series(2 * i, 10, n), series(2 * i + 1, 10, n), LOWER).verdict
        for i in range(300)
    ]
    assert set(verdicts) <= {BETTER, WORSE, NOISE}
    assert verdicts.count(NOISE) > 0.9 * len(verdicts)


def test_interval_holds_the_true_ratio(monkeypatch):
    monkeypatch.setattr(stats, "RESAMPLES", 500)
    holds = 0
    for i in range(200):
        d = difference(series(2 * i, 12, 10), series(2 * i + 1, 10, 10), LOWER)
        holds += d.low <= 1.2 <= d.high
    assert holds > 180


def test_disturbance_of_both_in_a_round_is_none_of_the_difference():
    """What is slow in a round is so on both sides: pairs stay together."""
    busy = 1 + np.arange(12) % 4
    d = difference(list(11 * busy), list(10 * busy), LOWER)
    assert d.verdict == BETTER and d.ratio == pytest.approx(1.1)


def test_few():
    assert difference([1, 1.1, 1.2, 1.3], [2, 2.1, 2.2, 2.3], LOWER).verdict == FEW
    d = difference([3], [2], LOWER)
    assert (d.verdict, d.ratio, d.low) == (FEW, 1.5, None)


def test_equal_and_constant():
    assert difference([7] * 5, [7] * 5, LOWER).verdict == EQUAL
    d = difference([101] * 5, [6] * 5, LOWER)
    assert (d.verdict, d.low, d.high) == (BETTER, 101 / 6, 101 / 6)


def test_zeros():
    """Without a ratio the ranks decide, and nothing is divided by 0."""
    d = difference([0] * 8, [5, 6, 7, 5, 6, 7, 8, 9], LOWER)
    assert (d.verdict, d.ratio, d.low) == (WORSE, None, None)
    assert difference([0, 0, 0, 0, 1], [0, 0, 0, 0, 2], LOWER).verdict == NOISE
    assert difference([0] * 5, [0] * 5, LOWER).verdict == EQUAL


def test_spread():
    s = stats.Spread.of([1, 2, 3, 4, 5])
    assert (s.median, s.low, s.high) == (3, 2, 4)
    assert s.percent == pytest.approx(100 / 3)
    assert stats.Spread.of([0, 0]).percent is None
    assert stats.Spread.of([3]).percent is None
