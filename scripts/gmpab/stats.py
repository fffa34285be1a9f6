"""Medians, their spread, and whether a difference is one.

Runs come in rounds, one of each side right after the other, so that what disturbs the
machine for longer than a run disturbs both. The ratio of the medians gets a confidence
interval by resampling whole rounds (bootstrap, percentiles). A difference is called
noise if the interval holds 1. Of 20 comparisons of a program with itself about one
is called a difference, with 5 to 20 rounds; below 5 the interval is too narrow to be
believed, and nothing is concluded.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .model import HIGHER

CONFIDENCE = 0.95
RESAMPLES = 4000
FEWEST = 5  # rounds

BETTER, WORSE, NOISE, EQUAL, FEW = (
    "shim better",
    "native better",
    "noise",
    "equal",
    "too few runs",
)


@dataclass(frozen=True)
class Spread:
    median: float
    low: float  # quartiles
    high: float
    n: int

    @staticmethod
    def of(values: list[float]) -> "Spread":
        low, median, high = np.percentile(values, [25, 50, 75])
        return Spread(float(median), float(low), float(high), len(values))

    @property
    def percent(self) -> float | None:
        """Half the distance of the quartiles, in percent of the median."""
        if self.n < 2 or not self.median:
            return None
        return 50 * (self.high - self.low) / self.median


@dataclass(frozen=True)
class Difference:
    """ratio: above 1 the shim is better, whichever way the metric goes. None where a
    median is 0; low and high None where there is no ratio, or too few rounds."""

    native: Spread
    shim: Spread
    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: str


def oriented(native: np.ndarray, shim: np.ndarray, better: str) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return shim / native if better == HIGHER else native / shim


def median_ratio(native, shim, better: str, axis: int = -1) -> np.ndarray:
    return oriented(np.median(native, axis=axis), np.median(shim, axis=axis), better)


def interval(statistic, data, paired: bool, confidence: float):
    """Low and high by bootstrap; None if they are not finite."""
    with warnings.catch_warnings():
        # a resample of equal values, or with a median of 0
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            data, statistic, paired=paired, vectorized=True,
            n_resamples=RESAMPLES, batch=RESAMPLES, confidence_level=confidence,
            method="percentile", random_state=np.random.default_rng(1),
        ).confidence_interval
    if not (np.isfinite(found.low) and np.isfinite(found.high)):
        return None
    return float(found.low), float(found.high)


def rank_test(native: np.ndarray, shim: np.ndarray) -> float | None:
    """Mann and Whitney's: how likely ranks so far apart are by chance."""
    if len(native) < 2:
        return None
    return float(stats.mannwhitneyu(native, shim, alternative="two-sided").pvalue)


def difference(native: list[float], shim: list[float], better: str) -> Difference:
    a, b = np.asarray(native, float), np.asarray(shim, float)
    ratio = float(median_ratio(a, b, better))
    finite = bool(np.isfinite(ratio)) and ratio > 0
    bounds = None
    if finite and len(a) >= FEWEST:
        bounds = interval(
            lambda x, y, axis=-1: median_ratio(x, y, better, axis),
            (a, b), True, CONFIDENCE,
        )
    p = rank_test(a, b)
    return Difference(
        Spread.of(native),
        Spread.of(shim),
        ratio if finite else None,
        *(bounds or (None, None)),
        p,
        _verdict(a, b, better, bounds, p),
    )


def _verdict(a, b, better: str, bounds, p: float | None) -> str:
    if len(set(a) | set(b)) == 1:
        return EQUAL
    if len(a) < FEWEST:
        return FEW
    if bounds:
        low, high = bounds
        if low <= 1 <= high:
            return NOISE
        return BETTER if low > 1 else WORSE
    # A median of 0 has no ratio: the ranks alone decide.
    if p is None or p >= 1 - CONFIDENCE:
        return NOISE
    more = np.mean(b) > np.mean(a)
    return BETTER if more == (better == HIGHER) else WORSE
