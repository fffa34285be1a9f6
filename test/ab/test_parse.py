"""What was captured from each tool, of the version in Debian 12 (memtier: its main)."""

import re
from pathlib import Path

import pytest
from gmpab.model import HIGHER, LOWER, digits, show
from gmpab.parse import FORMATS, PARSERS, custom, parse

OUTPUTS = Path(__file__).parent / "outputs"

# file, parser, number of figures, and some of them: times are in seconds
CAPTURED = [
    ("wrk.txt", "wrk", 8, {
        "throughput": 641.02, "requests": 703, "latency mean": 0.04259,
        "latency p50": 0.00194, "latency p99": 0.25346, "errors": 703}),
    ("wrk-plain.txt", "wrk", 4, {
        "throughput": 2034.34, "latency mean": 0.01187, "errors": 0}),
    ("redis-benchmark.txt", "redis-benchmark", 12, {
        "SET throughput": 128205.12, "GET throughput": 138888.89,
        "SET latency p50": 4.7e-5, "SET latency p99.9": 9.75e-4,
        "GET latency p99": 1.11e-4}),
    ("redis-benchmark-q.txt", "redis-benchmark", 4, {
        "SET throughput": 31446.54, "GET latency p50": 4.7e-5}),
    ("redis-benchmark-csv.txt", "redis-benchmark", 8, {
        "SET throughput": 119047.62, "GET latency p95": 1.35e-4}),
    ("memtier.txt", "memtier", 12, {
        "throughput": 8887.98, "latency p99.9": 0.061951,
        "Gets throughput": 8079.17, "Sets latency p50": 3.9e-5}),
    ("sysbench-cpu.txt", "sysbench", 4, {
        "throughput": 632.93, "latency mean": 0.00315, "latency p95": 0.01165}),
    ("sysbench-histogram.txt", "sysbench", 6, {
        "latency p50": 0.009057, "latency p99": 0.051945, "latency p95": 0.01965}),
    ("sysbench-memory.txt", "sysbench", 4, {
        "throughput": 1112954.67, "bandwidth": 1086.87}),
    ("sysbench-oltp.txt", "sysbench", 6, {
        "throughput": 1806.48, "queries": 28903.67, "requests": 3678, "errors": 0,
        "latency p95": 0.00403}),
    ("pgbench.txt", "pgbench", 5, {
        "throughput": 611.278506, "latency mean": 0.006544, "requests": 1243}),
    ("pgbench-progress.txt", "pgbench", 6, {
        "throughput": 634.500194, "latency deviation": 0.022216, "errors": 0}),
]


@pytest.mark.parametrize("file, form, count, some", CAPTURED)
def test_captured(file, form, count, some):
    text = (OUTPUTS / file).read_text()
    found = {v.name: v for v in parse(text, form)}
    assert {n: found[n].value for n in some} == pytest.approx(some)
    assert len(found) == count
    assert parse(text, "auto") == parse(text, form)
    for name, v in found.items():
        rises = name.endswith("throughput") or name in (
            "requests", "queries", "bandwidth")
        assert v.better == (HIGHER if rises else LOWER), name


@pytest.mark.parametrize("file, form, count, some", CAPTURED)
def test_no_other_parser_takes_it(file, form, count, some):
    text = (OUTPUTS / file).read_text()
    assert [n for n, p in PARSERS.items() if list(p(text))] == [form]


def test_all_outputs_are_used():
    assert {p.name for p in OUTPUTS.iterdir()} == {row[0] for row in CAPTURED}
    assert {row[1] for row in CAPTURED} == set(FORMATS) - {"auto", "lines", "none"}


def test_lines():
    text = "begin\nhop=105.5 ns, rate=2e6 ops/s, n=3\nx=1 is not one\nkB=4 KiB\n"
    found = [(v.name, v.value, v.unit, v.better) for v in parse(text, "lines")]
    assert found == [
        ("hop", pytest.approx(105.5e-9), "s", LOWER),
        ("rate", 2e6, "ops/s", HIGHER),
        ("n", 3, "", LOWER),
        ("kB", 4, "KiB", LOWER),
    ]
    assert [v.name for v in parse("latency_p99.9=1 ms", "lines")] == ["latency p99.9"]


def test_custom():
    pattern = re.compile(r"took ([0-9.,]+) ms")
    v = custom("took 1 ms\ntook 1,234.5 ms", "time[ms]", pattern)
    assert (v.name, v.value, v.unit, v.better) == ("time", 1.2345, "s", LOWER)
    assert custom("nothing", "time[ms]", pattern) is None
    v = custom("5 jobs/s", "rate", re.compile(r"(?P<value>\d+) (?P<unit>\S+)"))
    assert (v.value, v.unit, v.better) == (5, "jobs/s", HIGHER)


@pytest.mark.parametrize("value, unit, text", [
    (0, "s", "0 ns"), (0.0125, "s", "12.5 ms"), (3.5e-7, "s", "350 ns"),
    (90, "s", "90.0 s"), (100, "", "100"), (6, "", "6"), (6.5, "", "6.50"),
    (1461, "", "1,461"), (12345, "req/s", "12.3 k req/s"),
    (2.5e6, "", "2.50 M"), (512, "KiB", "512 KiB"), (1536, "KiB", "1.50 MiB"),
])
def test_numbers_for_people(value, unit, text):
    assert show(value, unit) == text


def test_digits_keep_their_zeros():
    assert [digits(x) for x in (100, 1000.0, 0, 0.1, 99.96)] == [
        "100", "1,000", "0", "0.100", "100.0"]
    assert [digits(x, count=True) for x in (1, 20, 1461, 0.5)] == [
        "1", "20", "1,461", "0.500"]
