"""The benchmarks themselves: each runs, natively and shimmed, and gives figures; those
with goroutines give the same."""

import subprocess

import pytest
from conftest import BENCH, SOURCE
from gmpab.parse import parse

PROGRAMS = {
    "create_join": ["batch=10 ms=1"],
    "fan_out": ["threads=50"],
    "parked": ["threads=50", "threads=50 stack=256"],
    "pingpong": ["how=cond ms=1", "how=sem ms=1", "how=pipe ms=1", "how=socketpair ms=1",
                 "how=sem with=altstack ms=1", "how=cond with=mask ms=1"],
    "future": ["ms=1"],
    "barrier": ["threads=3 ms=1"],
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

GO = BENCH / "go/bench"
# What Go has not; a goroutine's stack and mask are not its own.
NO_GO = {"startup", "barrier"}
needs_go = pytest.mark.skipif(not GO.exists(), reason="no Go, or not built with it")


def test_none_is_forgotten():
    sources = {p.stem for p in (SOURCE / "test/bench").glob("*.c*")}
    assert sources == set(PROGRAMS) | ELSEWHERE
    for name in "suite", "reference":
        suite = (SOURCE / "test/bench" / name).read_text()
        assert [p for p in sources if f"$BIN/{p}" not in suite] == []


@needs_go
@pytest.mark.parametrize(
    "program, args", [(p, a) for p, variants in PROGRAMS.items() for a in variants
                      if p not in NO_GO and "with=" not in a]
)
def test_goroutines(program, args):
    """The same parameters, and figures of the same names in the same units."""
    def figures(*command):
        done = subprocess.run([*command, *args.split()], capture_output=True, text=True,
                              timeout=60, check=True)
        return {(v.name, v.unit) for v in parse(done.stdout, "lines")}

    assert figures(GO, program) == figures(BENCH / program) != set()


@needs_go
@pytest.mark.parametrize("args, words", [
    ([], "which?"), (["none"], "which?"), (["yield", "thread=3"], "thread=3: no such"),
    (["yield", "threads=x"], "threads: not a number"),
])
def test_goroutines_refuse(args, words):
    done = subprocess.run([GO, *args], capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


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
