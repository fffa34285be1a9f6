"""The report as Markdown: one table of all figures, and charts as files beside it."""

import re
from pathlib import Path

from . import charts, peers
from .model import NATIVE, Comparison, Report

# A sweep of at least so many values is drawn as a curve, and has a table of its own.
CURVE = 5


def escape(text: str) -> str:
    return re.sub(r"([|*_<>\[\]`\\])", r"\\\1", text)


def growth(c: Comparison) -> bool:
    return len(c.points) >= CURVE and all(
        p.value is not None and p.value.isdigit() for p in c.points)


def table(report: Report, comparisons: list[Comparison]) -> list[str]:
    head = peers.headings(report)
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for c in comparisons:
        for row in peers.rows(c):
            lines.append(
                f"| {' | '.join(escape(x) for x in peers.cells(report, row))} |")
    return lines if len(lines) > 2 else []


def rounds(report: Report) -> int:
    return max((r.round + 1 for c in report.comparisons for p in c.points
                for r in p.runs), default=0)


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def picture(what: str, path: Path) -> list[str]:
    return ["", f"![{escape(what)}]({path.name})", ""]


def render(report: Report, path: Path) -> str:
    grown = [c for c in report.comparisons if growth(c)]
    others = [c for c in report.comparisons if c not in grown]
    facts = " · ".join(f"{k} {v}" for k, v in report.machine.items())
    out = [
        "# Figures", "",
        f"Medians of {rounds(report)} rounds, in each of which every side ran once, in "
        "turns. A ratio above 1 says that the shim is better; behind it, from five "
        "rounds on, is where the true ratio lies in 95 of 100 cases. "
        "benchmarking.md says how it is measured.", "",
        escape(f"{report.began} · {facts}"), "",
    ]
    if report.interrupted:
        out += ["**Interrupted: the figures are partial.**", ""]
    out += table(report, others)
    overview = path.with_name(f"{path.stem}-ratios.svg")
    sides = [NATIVE, *peers.names(report)]
    if charts.ratios([r for c in others for r in peers.rows(c)], sides, overview):
        out += picture("ratio of each figure", overview)
    for c in grown:
        found = peers.without_percentiles(c)
        drawn = path.with_name(f"{path.stem}-{slug(c.name)}.svg")
        out += ["", f"## {escape(c.name)}"]
        if found and any(p.runs for p in c.points):
            charts.curves(c, found, drawn)
            out += picture(f"{c.name} by {c.variable}", drawn)
        out += table(report, [c])
    if remarks := peers.remarks(report):
        out += ["", "## What was not measured", ""]
        out += [f"- {escape(' '.join(x.split()))}" for x in remarks]
    return "\n".join(out) + "\n"


def write(report: Report, path: Path) -> None:
    path.write_text(render(report, path))
