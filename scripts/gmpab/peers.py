"""The report as one table with a row for each figure: natively, shimmed, and of the peer,
with the ratios of the shimmed side to both others."""

from dataclasses import dataclass
from typing import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from . import stats
from .model import NATIVE, SHIM, Comparison, Metric, Point, Report, show as number
from .page import without_percentiles
from .table import ratio


@dataclass
class Row:
    label: str
    comparison: Comparison
    point: Point
    metric: Metric
    spreads: dict[str, stats.Spread]  # by side
    ratios: dict[str, stats.Difference]  # of the shimmed side to another

    def value(self, side: str | None) -> str:
        spread = self.spreads.get(side or "")
        return number(spread.median, self.metric.unit) if spread else "-"

    def ratio(self, side: str | None) -> str:
        """With its interval, where there is one."""
        d = self.ratios.get(side or "")
        if not d or d.ratio is None:
            return "-"
        text = ratio(d.ratio)
        if d.low is None:
            return text
        return f"{text} ({ratio(d.low)} .. {ratio(d.high)})"


def any_in(report: Report) -> bool:
    return any(c.peer for c in report.comparisons)


def names(report: Report) -> list[str]:
    return list(dict.fromkeys(c.peer for c in report.comparisons if c.peer))


def place(c: Comparison, point: Point) -> str:
    """The comparison's name, with the value of the sweep."""
    if point.value is None:
        return c.name
    value = f"{int(point.value):,}" if point.value.isdigit() else point.value
    return f"{c.name}, {value} {c.variable}"


def row(c: Comparison, point: Point, m: Metric, alone: bool) -> Row | None:
    values = {side: point.of(side, m.name) for side in c.sides}
    spreads = {s: stats.Spread.of(v) for s, v in values.items() if v}
    if not any(any(v) for v in values.values()):
        return None
    ratios = {}
    for side in spreads:
        if side != SHIM and (both := point.pairs(m.name, (side, SHIM)))[0]:
            ratios[side] = stats.difference(*both, m.better)
    label = place(c, point) + ("" if alone else f": {m.name}")
    return Row(label, c, point, m, spreads, ratios)


def rows(c: Comparison) -> Iterator[Row]:
    metrics = without_percentiles(c)
    for point in c.points:
        for m in metrics:
            if one := row(c, point, m, len(metrics) == 1):
                yield one


def remarks(report: Report) -> list[str]:
    """Why something is not in the table."""
    skipped = [f"{place(c, p)}: {side}: not run: {why}" for c in report.comparisons
               for p in c.points for side, why in p.skipped.items()]
    return skipped + [f"{c.name}: {x}" for c in report.comparisons for x in c.problems]


def headings(report: Report) -> list[str]:
    peers = names(report)
    return ["", NATIVE, SHIM, *peers, f"to {NATIVE}", *(f"to {p}" for p in peers)]


def cells(report: Report, one: Row) -> list[str]:
    peers = names(report)
    return [
        one.label, *(one.value(s) for s in (NATIVE, SHIM, *peers)),
        *(one.ratio(s) for s in (NATIVE, *peers)),
    ]


def show(report: Report) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings(report):
        table.add_column(heading, justify="right" if heading else "left")
    for c in report.comparisons:
        for one in rows(c):
            table.add_row(*cells(report, one))
    console.print(table)
    console.print("ratios: above 1 the shim is better; with their 95% intervals")
    for remark in remarks(report):
        console.print(remark, soft_wrap=True)
