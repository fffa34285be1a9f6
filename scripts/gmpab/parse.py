"""What load tools and benchmark programs print.

Each parser takes all the text and gives its values; none of them if the text is not
that tool's. Latencies are called "latency p99" and so on, behind the name of a test
where there are several ("GET latency p99").
"""

import re
from typing import Callable, Iterable, NamedTuple

import numpy as np

from .model import HIGHER, direction, normal


class Value(NamedTuple):
    name: str
    value: float
    unit: str
    better: str


def value(name: str, number: str | float, unit: str, better: str = "") -> Value:
    amount, base = normal(float(number), unit)
    return Value(name, amount, base, better or direction(unit))


def percentile_name(percent: str | float) -> str:
    return f"latency p{float(percent):g}"


NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
TIME = NUMBER + r"(us|ms|s|m|h)"
_LONG = {"m": 60.0, "h": 3600.0}


def wrk(text: str) -> Iterable[Value]:
    if not (rate := re.search(rf"^Requests/sec:\s+{NUMBER}", text, re.M)):
        return
    yield value("throughput", rate[1], "req/s")
    if done := re.search(rf"^\s+{NUMBER} requests in ", text, re.M):
        yield value("requests", done[1], "", HIGHER)
    if mean := re.search(rf"^\s+Latency\s+{TIME}\s", text, re.M):
        yield wrk_time("latency mean", *mean.groups())
    for percent, number, unit in re.findall(rf"^\s+{NUMBER}%\s+{TIME}$", text, re.M):
        yield wrk_time(percentile_name(percent), number, unit)
    bad = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    answers = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = sum(map(int, bad.groups())) if bad else 0
    yield value("errors", errors + (int(answers[1]) if answers else 0), "")


def wrk_time(name: str, number: str, unit: str) -> Value:
    if unit in _LONG:
        return value(name, float(number) * _LONG[unit], "s")
    return value(name, number, unit)


def redis_benchmark(text: str) -> Iterable[Value]:
    # With -q a line is rewritten by carriage returns.
    lines = [line.split("\r")[-1] for line in text.splitlines()]
    yield from redis_csv(lines)
    yield from redis_quiet(lines)
    yield from redis_long(lines)


def redis_csv(lines: list[str]) -> Iterable[Value]:
    columns: list[str] = []
    for line in lines:
        fields = re.findall(r'"([^"]*)"', line)
        if fields[:2] == ["test", "rps"]:
            columns = fields
        elif columns and len(fields) == len(columns):
            row = dict(zip(columns, fields))
            yield value(f"{row['test']} throughput", row["rps"], "req/s")
            for column, number in row.items():
                if percent := re.fullmatch(r"p(\d+)_latency_ms", column):
                    name = f"{row['test']} {percentile_name(percent[1])}"
                    yield value(name, number, "ms")


def redis_quiet(lines: list[str]) -> Iterable[Value]:
    form = rf"(\S.*): {NUMBER} requests per second(?:, p50={NUMBER} msec)?\s*"
    for line in lines:
        if found := re.fullmatch(form, line):
            yield value(f"{found[1]} throughput", found[2], "req/s")
            if found[3]:
                yield value(f"{found[1]} latency p50", found[3], "ms")


# Of the many that it prints; the others crowd about 100 %.
REDIS_PERCENTILES = (50, 75, 90, 99, 99.9)


def redis_long(lines: list[str]) -> Iterable[Value]:
    test, seen = "", []
    for line in lines:
        if title := re.fullmatch(r"====== (.+) ======\s*", line):
            test, seen = title[1], []
        elif rate := re.match(
            rf"\s+throughput summary: {NUMBER} requests per second", line
        ):
            yield value(f"{test} throughput", rate[1], "req/s")
            for percent in REDIS_PERCENTILES:
                # The first bound at or beyond it, as the tool's own summary.
                if at := [ms for p, ms in seen if p >= percent]:
                    yield value(f"{test} {percentile_name(percent)}", at[0], "ms")
        elif bound := re.match(rf"{NUMBER}% <= {NUMBER} milliseconds \(cum", line):
            point = float(bound[1]), float(bound[2])
            # The second list, by time, begins again below the first one's end.
            if not seen or point[0] >= seen[-1][0]:
                seen.append(point)


def memtier(text: str) -> Iterable[Value]:
    columns: list[str] = []
    for line in text.splitlines():
        fields = re.split(r"\s{2,}", line.strip())
        if fields[:2] == ["Type", "Ops/sec"]:
            columns = fields
        elif columns and fields[0] in ("Sets", "Gets", "Totals"):
            row = dict(zip(columns, line.split()))
            kind = "" if fields[0] == "Totals" else f"{fields[0]} "
            if kind and not float(row["Ops/sec"]):
                continue
            yield value(f"{kind}throughput", row["Ops/sec"], "req/s")
            for column, number in row.items():
                percent = re.fullmatch(r"p([\d.]+) Latency", column)
                if percent and number != "---":
                    yield value(f"{kind}{percentile_name(percent[1])}", number, "ms")


def each_found(text: str, *rows: tuple[str, str, str]) -> Iterable[Value]:
    """Of each pattern, name and unit the first number that is there."""
    for pattern, name, unit in rows:
        if found := re.search(pattern, text, re.M):
            yield value(name, found[1], unit, HIGHER if name == "requests" else "")


def sysbench(text: str) -> Iterable[Value]:
    if not re.search(r"^sysbench \d", text, re.M):
        return
    for kind in ("transactions", "queries"):
        if found := re.search(
            rf"^\s+{kind}:\s+\d+\s+\({NUMBER} per sec", text, re.M
        ):
            name = "throughput" if kind == "transactions" else "queries"
            yield value(name, found[1], f"{kind}/s")
    yield from each_found(
        text,
        (rf"events per second:\s+{NUMBER}", "throughput", "events/s"),
        (rf"^Total operations: \d+ \(\s*{NUMBER} per second", "throughput", "ops/s"),
        (rf"\(\s*{NUMBER} MiB/sec\)", "bandwidth", "MiB/s"),
        (r"ignored errors:\s+(\d+)", "errors", ""),
        (r"total number of events:\s+(\d+)", "requests", ""),
    )
    if block := re.search(r"^Latency \(ms\):\n((?:\s+.+\n?)+)", text, re.M):
        if mean := re.search(rf"avg:\s+{NUMBER}", block[1]):
            yield value("latency mean", mean[1], "ms")
        if named := re.search(rf"(\d+)th percentile:\s+{NUMBER}", block[1]):
            if float(named[2]):  # 0 where it was turned off
                yield value(percentile_name(named[1]), named[2], "ms")
    yield from histogram(text)


def histogram(text: str) -> Iterable[Value]:
    """sysbench --histogram: how many took at most how many ms."""
    rows = re.findall(rf"^\s*{NUMBER} \|\**\s+(\d+)$", text, re.M)
    if not rows:
        return
    ms, counts = np.array(rows, float).T
    share = 100 * np.cumsum(counts) / counts.sum()
    for percent in (50, 90, 99):
        at = ms[np.searchsorted(share, percent)]
        yield value(percentile_name(percent), at, "ms")


def pgbench(text: str) -> Iterable[Value]:
    if not (rate := re.search(rf"^tps = {NUMBER}", text, re.M)):
        return
    yield value("throughput", rate[1], "transactions/s")
    yield from each_found(
        text,
        (r"actually processed: (\d+)", "requests", ""),
        (r"^number of failed transactions: (\d+)", "errors", ""),
        (rf"^latency average = {NUMBER} ms", "latency mean", "ms"),
        (rf"^latency stddev = {NUMBER} ms", "latency deviation", "ms"),
        (rf"^initial connection time = {NUMBER} ms", "connecting", "ms"),
    )


_PAIR = rf"(\S+)=({NUMBER[1:-1]}) ?([^\s=,]*)"


def lines(text: str) -> Iterable[Value]:
    """NAME=VALUE UNIT, nothing else on the line but more of them. latency_p99 is
    "latency p99"."""
    for line in text.splitlines():
        if re.fullmatch(rf"{_PAIR}(?:,? +{_PAIR})*\s*", line):
            for name, number, unit in re.findall(_PAIR, line):
                better = HIGHER if name == "requests" else ""
                yield value(name.replace("_", " "), number, unit, better)


PARSERS: dict[str, Callable[[str], Iterable[Value]]] = {
    "wrk": wrk,
    "redis-benchmark": redis_benchmark,
    "memtier": memtier,
    "sysbench": sysbench,
    "pgbench": pgbench,
    "lines": lines,
}
FORMATS = ["auto", *PARSERS, "none"]


def parse(text: str, form: str) -> list[Value]:
    """By the named parser; "auto": by the first that finds anything."""
    names = list(PARSERS) if form == "auto" else [form]
    for name in names:
        if name in PARSERS and (found := list(PARSERS[name](text))):
            # A name that comes twice (sysbench's p95) has one value.
            return list({v.name: v for v in found}.values())
    return []


def custom(text: str, name: str, pattern: re.Pattern[str]) -> Value | None:
    """--metric: the first group that took part, its last match in the text. A group
    called "unit", or a unit in brackets behind the name, says in what."""
    found = None
    for found in pattern.finditer(text):
        pass
    if not found:
        return None
    groups = found.groupdict()
    number = groups.get("value") or next(g for g in found.groups() if g)
    bare, _, unit = name.partition("[")
    return value(bare, number.replace(",", ""), groups.get("unit") or unit.rstrip("]"))
