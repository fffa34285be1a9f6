"""The report on a terminal, and how far the measuring is."""

from contextlib import contextmanager
from typing import Callable, Iterator

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from . import stats
from .model import (
    KERNEL_THREADS, PEAK_COUNTED, PEAK_SAMPLED, PROGRAM_THREADS, SIDES, Comparison,
    Metric, Point, Report, show as number,
)

COLOURS = {stats.BETTER: "green", stats.WORSE: "red"}


@contextmanager
def progress(screen: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Draws only when told to: a thread of its own would disturb what is measured."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=screen,
        transient=True,
        auto_refresh=False,
        disable=not screen.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)
        begun = -1

        def advance(what: str) -> None:
            nonlocal begun
            begun += 1
            bar.update(task, completed=begun, description=what)
            bar.refresh()

        yield advance


def show(report: Report) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    for c in report.comparisons:
        for point in c.points:
            if point.runs or point.counted:
                show_point(console, c, point)
    pairs = {len(p.pairs(m)[0]) for c in report.comparisons
             for p in c.points for m in c.metrics}
    if pairs and max(pairs) >= 1:
        console.print(
            "ratio above 1: the shim is better; noise: the 95% interval of the ratio "
            "holds 1", style="dim")
        if max(pairs) < stats.FEWEST:
            console.print(f"fewer than {stats.FEWEST} rounds: nothing is concluded")


def show_point(console: Console, c: Comparison, point: Point) -> None:
    title = c.name if point.value is None else f"{c.name}  {c.variable}={point.value}"
    table = Table(title=title, title_justify="left", title_style="bold",
                  box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("native", "±", "shim", "±", "ratio", "95% interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for metric, d in differences(c, point):
        table.add_row(*row(metric, d))
    for name in (PEAK_COUNTED, KERNEL_THREADS, PROGRAM_THREADS):
        if any(name in values for values in point.counted.values()):
            table.add_row(*counted_row(point, name))
    console.print(table)


def differences(
    c: Comparison, point: Point
) -> Iterator[tuple[Metric, stats.Difference]]:
    """Of a table: not of zeros alone, and nothing sampled that has been counted."""
    counted = all(PEAK_COUNTED in point.counted.get(s, {}) for s in SIDES)
    for m in c.metrics.values():
        native, shim = point.pairs(m.name)
        if native and any(native + shim) and not (counted and m.name == PEAK_SAMPLED):
            yield m, stats.difference(native, shim, m.better)


def label(name: str) -> str:
    if name == PEAK_SAMPLED:
        return f"{name}, sampled"
    return PEAK_SAMPLED if name == PEAK_COUNTED else name


def row(metric: Metric, d: stats.Difference) -> list[str | Text]:
    verdict = Text(d.verdict, style=COLOURS.get(d.verdict, ""))
    return [
        label(metric.name),
        number(d.native.median, metric.unit), percent(d.native),
        number(d.shim.median, metric.unit), percent(d.shim),
        ratio(d.ratio), span(d), verdict,
    ]


def counted_row(point: Point, name: str) -> list[str]:
    values = [point.counted.get(side, {}).get(name) for side in SIDES]
    texts = ["-" if v is None else number(v, "") for v in values]
    both = ratio(values[0] / values[1]) if None not in values and values[1] else ""
    # What the program asked for is no better and no worse.
    return [label(name), texts[0], "", texts[1], "",
            "" if name == PROGRAM_THREADS else both, "", "counted once"]


def percent(s: stats.Spread) -> str:
    return "" if s.percent is None else f"{s.percent:.0f}%"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def span(d: stats.Difference) -> str:
    return "" if d.low is None else f"{ratio(d.low)} .. {ratio(d.high)}"
