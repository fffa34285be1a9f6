"""The report as one HTML page with charts, that needs nothing but itself.

Here is decided which charts there are and what is in them; page/page.js draws them with
Chart.js, which is put into the page.
"""

import html
import json
import shlex
from pathlib import Path
from string import Template
from typing import Any

from . import files, stats
from .model import (
    KERNEL_THREADS, NATIVE, PEAK_COUNTED, PROGRAM_THREADS, SIDES, Comparison, Metric,
    Point, Report, show,
)
from .table import differences, label, percent, ratio, span

LIBRARY = Path("/usr/share/javascript/chart.js/chart.min.js")
PARTS = Path(__file__).parent / "page"

Chart = dict[str, Any]  # what page.js draws


def difference(point: Point, metric: Metric) -> stats.Difference | None:
    native, shim = point.pairs(metric.name)
    if not native or not any(native + shim):
        return None
    return stats.difference(native, shim, metric.better)


# ---- Charts --------------------------------------------------------------------


def ratios(title: str, rows: list[tuple[str, stats.Difference]]) -> Chart | None:
    """A row for each ratio: its interval as a bar, itself as a dot."""
    bars = [
        {
            "label": label, "ratio": d.ratio,
            "low": d.low or d.ratio, "high": d.high or d.ratio,
            "verdict": d.verdict,
        }
        for label, d in rows if d.ratio is not None
    ]
    return {"kind": "ratios", "title": title, "rows": bars} if bars else None


def curve(title: str, c: Comparison, metric: Metric, across: Metric | None = None):
    """A metric at each value of the sweep, or against another metric natively (the
    threads that the program has); medians, quartiles as a band."""
    lines = {side: [] for side in SIDES}
    for point in c.points:
        if not (d := difference(point, metric)):
            continue
        x: Any = point.value
        if across:
            threads = across_value(point, across)
            if threads is None:
                continue
            x = threads
        for side, spread in zip(SIDES, (d.native, d.shim)):
            lines[side].append(
                {"x": x, "y": spread.median, "low": spread.low, "high": spread.high}
            )
    if len(lines[NATIVE]) < 2:
        return None
    return {
        "kind": "curve", "title": title, "lines": lines, "unit": metric.unit,
        "better": metric.better, "x": across.name if across else c.variable,
    }


def across_value(point: Point, metric: Metric) -> float | None:
    if counted := point.counted.get(NATIVE, {}).get(PEAK_COUNTED):
        return counted
    native, _ = point.pairs(metric.name)
    return stats.Spread.of(native).median if native else None


def percentiles(c: Comparison) -> list[tuple[str, list[tuple[float, Metric]]]]:
    """The latency percentiles of each test that the load tool made."""
    found: dict[str, list[tuple[float, Metric]]] = {}
    for m in c.metrics.values():
        test, mark, percent_text = m.name.rpartition("latency p")
        if mark and percent_text.replace(".", "").isdigit():
            found.setdefault(test.strip(), []).append((float(percent_text), m))
    return [(test, sorted(ps, key=lambda p: p[0]))
            for test, ps in found.items() if len(ps) > 1]


def latencies(c: Comparison) -> list[Chart]:
    charts = []
    for test, found in percentiles(c):
        choices = []
        for point in c.points:
            lines = {side: [] for side in SIDES}
            for p, metric in found:
                if not (d := difference(point, metric)):
                    continue
                for side, spread in zip(SIDES, (d.native, d.shim)):
                    lines[side].append({
                        "x": f"p{p:g}", "y": spread.median,
                        "low": spread.low, "high": spread.high,
                    })
            if lines[NATIVE]:
                name = "" if point.value is None else f"{c.variable} = {point.value}"
                choices.append({"name": name, "lines": lines})
        if choices:
            charts.append({
                "kind": "latency", "title": f"{test} latency by percentile".strip(),
                "unit": found[0][1].unit, "choices": choices,
            })
    return charts


def every_run(c: Comparison, metric: Metric) -> Chart | None:
    """The runs of the first point as they were, in their order."""
    native, shim = c.points[0].pairs(metric.name)
    if len(native) < 2:
        return None
    dots = {side: [{"x": i + 1, "y": y} for i, y in enumerate(values)]
            for side, values in zip(SIDES, (native, shim))}
    return {"kind": "runs", "title": f"{metric.name}, run by run", "lines": dots,
            "unit": metric.unit, "better": metric.better}


def named(c: Comparison, *names: str) -> list[Metric]:
    return [c.metrics[name] for name in names if name in c.metrics]


def main_metrics(c: Comparison) -> list[Metric]:
    """Those that tell best how fast it was: not how much was asked for."""
    own = [m for m in c.own_metrics() if m.name != "requests"
           and any(any(p.pairs(m.name)[0]) for p in c.points)]
    return own or named(c, "wall")


def without_percentiles(c: Comparison) -> list[Metric]:
    """The same, with p99 alone of those that have a chart of their own."""
    drawn = {m.name for _, found in percentiles(c) for _, m in found}
    return [m for m in main_metrics(c) if m.name not in drawn or m.name.endswith("p99")]


def charts(c: Comparison) -> list[Chart]:
    found: list[Chart | None] = []
    first = next((p for p in c.points if p.runs), None)
    if not first:
        return []
    if c.variable and len(c.points) > 1:
        costs = named(c, "server CPU during the load", "peak kernel threads")
        for m in [*without_percentiles(c), *costs]:
            found.append(curve(f"{m.name} by {c.variable}", c, m))
        for m in named(c, "peak RSS"):
            across = c.metrics["peak kernel threads"]
            found.append(
                curve("memory by threads", c, m, across and Metric("threads", ""))
            )
            found.append(curve(f"{m.name} by {c.variable}", c, m))
    else:
        rows = [(m.name, d) for m in c.metrics.values() if (d := difference(first, m))]
        found.append(ratios("shim against native", rows))
        found += [every_run(c, m) for m in main_metrics(c)[:2]]
    return [x for x in [*found, *latencies(c)] if x]


def overview(report: Report) -> Chart | None:
    rows = []
    for c in report.comparisons:
        for point in c.points:
            at = "" if point.value is None else f" {c.variable}={point.value}"
            for m in without_percentiles(c):
                if d := difference(point, m):
                    # A benchmark's only figure often has its name.
                    same = m.name == c.name.replace("_", " ")
                    tail = "" if same else f": {m.name}"
                    rows.append((f"{c.name}{at}{tail}", d))
    return ratios("shim against native, everything", rows)


# ---- Text ------------------------------------------------------------------------


def escape(text: str) -> str:
    return html.escape(text, quote=True)


CLASSES = {stats.BETTER: "better", stats.WORSE: "worse"}
MARKS = {stats.BETTER: "▲", stats.WORSE: "▼", stats.NOISE: "≈", stats.EQUAL: "="}


def cards(c: Comparison) -> str:
    """The figures one looks for first, of the last point: the largest, in a sweep."""
    point = next((p for p in reversed(c.points) if p.runs), None)
    if not point:
        return ""
    metrics = main_metrics(c)[:2] + named(c, "wall", "peak RSS", "peak kernel threads")
    out = []
    for m in dict.fromkeys(metrics):
        if not (d := difference(point, m)):
            continue
        out.append(
            f'<div class="card {CLASSES.get(d.verdict, "")}">'
            f'<div class="what">{escape(m.name)}</div>'
            f'<div class="big">{MARKS.get(d.verdict, "")} {ratio(d.ratio)}×</div>'
            f'<div>{show(d.native.median, m.unit)} → {show(d.shim.median, m.unit)}</div>'
            f'<div class="quiet">{escape(d.verdict)}</div></div>'
        )
    at = "" if point.value is None else (
        f'<p class="quiet">at {escape(str(c.variable))} = {escape(point.value)}</p>')
    return at + f'<div class="cards">{"".join(out)}</div>'


HEAD = ("<tr><th></th><th>native</th><th>±</th><th>shim</th><th>±</th>"
        "<th>ratio</th><th>95% interval</th><th></th></tr>")


def table(c: Comparison, point: Point) -> str:
    rows = []
    for m, d in differences(c, point):
        cells = [
            show(d.native.median, m.unit), percent(d.native),
            show(d.shim.median, m.unit), percent(d.shim), ratio(d.ratio), span(d),
        ]
        rows.append(
            f'<tr class="{CLASSES.get(d.verdict, "")}"><th>{escape(label(m.name))}</th>'
            + "".join(f"<td>{escape(x)}</td>" for x in cells)
            + f"<td>{MARKS.get(d.verdict, '')} {escape(d.verdict)}</td></tr>"
        )
    for name in (PEAK_COUNTED, KERNEL_THREADS, PROGRAM_THREADS):
        values = [point.counted.get(side, {}).get(name) for side in SIDES]
        if any(v is not None for v in values):
            a, b = ("-" if v is None else show(v, "") for v in values)
            rows.append(
                f"<tr><th>{escape(label(name))}</th><td>{a}</td><td></td><td>{b}</td>"
                "<td></td><td></td><td></td><td>counted once</td></tr>"
            )
    caption = "" if point.value is None else (
        f"<h3>{escape(str(c.variable))} = {escape(point.value)}</h3>")
    return (f'{caption}<div class="scroll"><table><thead>{HEAD}</thead>'
            f'<tbody>{"".join(rows)}</tbody></table></div>')


def command_line(c: Comparison) -> str:
    text = shlex.join(c.command)
    return text if c.load is None else f"{text}\n# load: {c.load}"


def section(c: Comparison, one: bool) -> tuple[str, list[Chart]]:
    drawn = charts(c)
    holders = "".join('<figure class="chart"></figure>' for _ in drawn)
    problems = "".join(f'<p class="problem">{escape(x)}</p>' for x in c.problems)
    tables = "".join(table(c, p) for p in c.points if p.runs)
    heading = "" if one else f"<h2>{escape(c.name)}</h2>"
    return (
        f"<section>{heading}{problems}<pre>{escape(command_line(c))}</pre>{cards(c)}"
        f'<div class="charts">{holders}</div>'
        f'<details{" open" if one else ""}><summary>all figures</summary>{tables}'
        "</details></section>",
        drawn,
    )


def render(report: Report) -> str:
    one = len(report.comparisons) == 1
    sections, drawn = [], []
    if not one and (whole := overview(report)):
        sections.append('<section><figure class="chart wide"></figure></section>')
        drawn.append(whole)
    for c in report.comparisons:
        text, own = section(c, one)
        sections.append(text)
        drawn += own
    title = report.comparisons[0].name if one else "benchmarks"
    facts = " · ".join(f"{k} {v}" for k, v in report.machine.items())
    rounds = max((r.round + 1 for c in report.comparisons for p in c.points
                  for r in p.runs), default=0)
    return Template((PARTS / "page.html").read_text()).substitute(
        title=escape(title),
        facts=escape(f"{report.began} · {rounds} rounds · {facts}"),
        partial="<p class='problem'>Interrupted: the figures are partial.</p>"
        if report.interrupted else "",
        sections="\n".join(sections),
        style=(PARTS / "page.css").read_text(),
        # "</script>" inside would end it
        data=json.dumps(drawn).replace("</", "<\\/"),
        library=LIBRARY.read_text().replace("</script", "<\\/script"),
        script=(PARTS / "page.js").read_text(),
    )


def write(report: Report, path: Path) -> None:
    with files.opened(path) as f:
        f.write(render(report))
