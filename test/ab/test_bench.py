"""The benchmarks themselves: each runs, natively and shimmed, and gives figures."""

import subprocess

import pytest
from conftest import BENCH, SOURCE
from gmpab.parse import parse

PROGRAMS = {
    "create_join": ["batch=10 ms=1"],
    "fan_out": ["threads=50"],
    "parked": ["threads=50"],
    "pingpong": ["how=cond ms=1", "how=sem ms=1", "how=pipe ms=1", "how=socketpair ms=1"],
    "ring": ["threads=20 ms=1"],
    "yield": ["threads=3 yields=1000"],
    "mutex": ["threads=1 ms=1", "threads=4 ms=20"],
    "rwlock": ["threads=4 ms=20"],
    "queue": ["producers=3 consumers=5 items=3000"],
    "skynet": ["leaves=100"],
    "sleepers": ["threads=20 ms=20", "threads=1 hogs=2 ms=30"],
    "idle": ["threads=10 period=10 ms=50"],
    "startup": ["threads=2"],
}
# A server, and what needs one: test_server.py.
ELSEWHERE = {"echo_server", "echo_load"}


def test_none_is_forgotten():
    sources = {p.stem for p in (SOURCE / "test/bench").glob("*.c")}
    assert sources == set(PROGRAMS) | ELSEWHERE
    suite = (SOURCE / "test/bench/suite").read_text()
    assert [p for p in sources if f"$BIN/{p}" not in suite] == []


@pytest.mark.parametrize(
    "program, args", [(p, a) for p, variants in PROGRAMS.items() for a in variants]
)
def test_program(ab, program, args):
    command = [BENCH / program, *args.split()]
    assert ab("-n", 1, "-w", 0, "--format", "lines", "--", *command) == 0
    own = [m["name"] for m in ab.report["comparisons"][0]["metrics"] if m["own"]]
    assert bool(own) == (program != "startup")
    for run in ab.point["runs"]:
        assert all(name in run["values"] for name in own)


@pytest.mark.parametrize("args", ["thread=3", "threads=x", "threads=-1"])
def test_wrong_parameters(args):
    done = subprocess.run([BENCH / "yield", args], capture_output=True, text=True)
    assert done.returncode == 2 and args.split("=")[0] in done.stderr
    assert parse(done.stdout, "lines") == []
