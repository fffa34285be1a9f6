"""What got better or worse between two reports: of the ratio to native."""

import json

import numpy as np
import pytest


def report(path, seed: int, **native_and_shim: tuple[float, float]):
    """As gmp-ab writes it, with one comparison a name."""
    rng = np.random.default_rng(seed)
    comparisons = []
    for name, centres in native_and_shim.items():
        runs = [
            {"side": side, "round": i, "status": "exit 0", "output": "",
             "values": {"op": centre * (1 + 0.02 * rng.standard_normal())}}
            for i in range(8) for side, centre in zip(("native", "shim"), centres)
        ]
        comparisons.append({
            "name": name, "command": ["x"], "load": None, "variable": None,
            "metrics": [{"name": "op", "unit": "s", "better": "lower", "own": True}],
            "points": [{"value": None, "runs": runs, "counted": {}}], "problems": [],
        })
    path.write_text(json.dumps({
        "gmp_ab": 1, "machine": {}, "began": "", "interrupted": False,
        "comparisons": comparisons}))
    return path


@pytest.fixture
def old(tmp_path):
    return report(tmp_path / "old", 1, same=(10, 5), slower=(10, 5), faster=(10, 5))


def line(text: str, name: str) -> str:
    return next((x for x in text.splitlines() if x.strip().startswith(name)), "")


def test_changes(ab, old, tmp_path):
    # On a machine that is half as fast: natively, too.
    new = report(tmp_path / "new", 2, same=(20, 10), slower=(20, 13), faster=(20, 8))
    assert ab("--compare", old, new) == 0
    assert "worse" in line(ab.out, "slower") and "better" in line(ab.out, "faster")
    assert line(ab.out, "same") == ""
    assert "3 figures compared: 1 worse, 1 better, 1 unchanged" in ab.out


def test_threshold(ab, old, tmp_path):
    new = report(tmp_path / "new", 3, same=(10, 5), slower=(10, 6.5), faster=(10, 4))
    assert ab("--compare", old, new, "--threshold", 50) == 0
    assert "3 figures compared: 0 worse, 0 better, 3 unchanged" in ab.out


def test_what_is_in_one_alone(ab, old, tmp_path):
    new = report(tmp_path / "new", 4, same=(10, 5), other=(10, 5))
    assert ab("--compare", old, new) == 0
    assert "1 figures compared" in ab.out
