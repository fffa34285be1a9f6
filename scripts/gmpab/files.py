"""The report as JSON (everything, to be read again) and as CSV (a line a figure)."""

import csv
import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Iterator

from . import stats
from .model import Comparison, Metric, Point, Report, Run
from .process import Failed

VERSION = 1


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    if str(path) == "-":
        yield sys.stdout
        return
    with open(path, "w", newline="") as f:
        yield f


def summary(c: Comparison, point: Point) -> dict[str, Any]:
    found = {}
    for m in c.metrics.values():
        native, shim = point.pairs(m.name)
        if native:
            found[m.name] = asdict(stats.difference(native, shim, m.better))
    return found


def as_dict(report: Report) -> dict[str, Any]:
    whole = {"gmp_ab": VERSION} | asdict(report)
    for c, plain in zip(report.comparisons, whole["comparisons"]):
        plain["metrics"] = list(plain["metrics"].values())
        for point, plain_point in zip(c.points, plain["points"]):
            plain_point["summary"] = summary(c, point)
    return whole


def write_json(report: Report, path: Path) -> None:
    with opened(path) as f:
        json.dump(as_dict(report), f, indent=1)
        f.write("\n")


def read(path: Path) -> Report:
    try:
        whole = json.loads(path.read_text())
        if whole["gmp_ab"] != VERSION:
            raise Failed(f"{path}: format {whole['gmp_ab']}; this reads {VERSION}")
        comparisons = [
            Comparison(
                c["name"], c["command"], c["load"], c["variable"],
                {m["name"]: Metric(**m) for m in c["metrics"]},
                [
                    Point(p["value"], [Run(**r) for r in p["runs"]], p["counted"],
                          p.get("skipped", {}))
                    for p in c["points"]
                ],
                c["problems"],
                c.get("peer"),
            )
            for c in whole["comparisons"]
        ]
        return Report(
            whole["machine"], whole["began"], comparisons, whole["interrupted"]
        )
    except (ValueError, KeyError, TypeError) as e:
        raise Failed(f"{path}: not what gmp-ab --json writes ({e!r})") from None


def write_csv(report: Report, path: Path) -> None:
    with opened(path) as f:
        out = csv.writer(f)
        out.writerow("comparison variable value round side status metric figure unit"
                     .split())
        for c in report.comparisons:
            for point in c.points:
                for run in point.runs:
                    for name, figure in run.values.items():
                        out.writerow([c.name, c.variable, point.value, run.round,
                                      run.side, run.status, name, figure,
                                      c.metrics[name].unit])
