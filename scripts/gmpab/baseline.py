"""A report against an older one.

What is compared is the ratio to native, since that is what is left of a figure when the
machine is another, or busier. Its change has an interval of 99 %, from the rounds of
both reports; a change is told if the interval does not hold 1 and it is beyond the
threshold.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from . import files, stats
from .model import Comparison, Metric, Point
from .table import ratio

CONFIDENCE = 0.99


@dataclass(frozen=True)
class Change:
    where: str
    metric: str
    old: float  # ratios to native
    new: float
    low: float  # of new / old
    high: float

    @property
    def factor(self) -> float:
        return self.new / self.old

    def beyond(self, threshold: float) -> bool:
        far = max(self.factor, 1 / self.factor) > 1 + threshold / 100
        return far and not self.low <= 1 <= self.high


def change(where: str, metric: Metric, old: Point, new: Point) -> Change | None:
    rounds = [tuple(np.asarray(side) for side in p.pairs(metric.name))
              for p in (old, new)]
    if min(len(native) for native, _ in rounds) < stats.FEWEST:
        return None

    def ratios(which: int, picked: np.ndarray, axis: int) -> np.ndarray:
        native, shim = rounds[which]
        i = picked.astype(int)
        return stats.median_ratio(native[i], shim[i], metric.better, axis)

    def factor(old_rounds, new_rounds, axis: int = -1) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return ratios(1, new_rounds, axis) / ratios(0, old_rounds, axis)

    each = [np.arange(len(native), dtype=float) for native, _ in rounds]
    old_ratio, new_ratio = (float(ratios(i, each[i], -1)) for i in (0, 1))
    bounds = stats.interval(factor, tuple(each), False, CONFIDENCE)
    if not bounds or not np.isfinite(old_ratio * new_ratio) or not old_ratio * new_ratio:
        return None
    return Change(where, metric.name, old_ratio, new_ratio, *bounds)


def told(metric: Metric, comparison: Comparison) -> bool:
    """A program's own figures say how fast it is; without any, the wall clock does."""
    if comparison.own_metrics():
        return metric.own
    return metric.name in ("wall", "peak RSS", "user", "sys")


def changes(old: list[Comparison], new: list[Comparison]) -> list[Change]:
    before = {(c.name, p.value): p for c in old for p in c.points}
    found = []
    for c in new:
        for point in c.points:
            if not (was := before.get((c.name, point.value))):
                continue
            at = f" {c.variable}={point.value}" if point.value is not None else ""
            for m in c.metrics.values():
                if told(m, c) and (one := change(c.name + at, m, was, point)):
                    found.append(one)
    return found


def show(old_path: str, new_path: str, threshold: float) -> int:
    old, new = files.read(Path(old_path)), files.read(Path(new_path))
    found = changes(old.comparisons, new.comparisons)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    beyond = [c for c in found if c.beyond(threshold)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "", "ratio then", "now", "change", "99% interval", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for c in sorted(beyond, key=lambda c: c.factor):
        table.add_row(
            c.where, c.metric, ratio(c.old), ratio(c.new), ratio(c.factor),
            f"{ratio(c.low)} .. {ratio(c.high)}",
            "[red]worse[/]" if c.factor < 1 else "[green]better[/]",
        )
    if beyond:
        console.print(table)
    worse = sum(c.factor < 1 for c in beyond)
    console.print(
        f"{len(found)} figures compared: {worse} worse, {len(beyond) - worse} better, "
        f"{len(found) - len(beyond)} unchanged within noise or {threshold:g}%"
    )
    return 0
