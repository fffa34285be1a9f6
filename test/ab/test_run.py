"""Programs run natively and shimmed: figures, and whether both did the same."""

import csv
import os
import subprocess

import pytest
from conftest import BENCH, BUILD, SHIMMED


def values(ab, side: str, name: str) -> list[float]:
    return [r["values"][name] for r in ab.point["runs"] if r["side"] == side]


def test_figures(ab):
    """Of a program that has 50 threads at once, and 50 more, twice."""
    assert ab("-n", 2, "--", BENCH / "fan_out", "threads=50", "again=2") == 0
    counted = ab.point["counted"]
    assert counted["shim"]["threads of the program"] == 150
    if os.geteuid() == 0:
        # exact, so the kernel's messages came through
        assert counted["native"]["kernel threads created"] == 150
        assert counted["native"]["peak kernel threads, counted"] == 51
        assert counted["shim"]["kernel threads created"] < 30
    assert len(ab.point["runs"]) == 4
    for run in ab.point["runs"]:
        assert run["status"] == "exit 0"
        assert run["values"]["wall"] > 0
        assert run["values"]["user"] + run["values"]["sys"] > 0
        assert run["values"]["minor faults"] > 0
    assert "ratio above 1" in ab.out and "fewer than 5 rounds" in ab.out
    assert "voluntary switches" in ab.out
    assert ("kernel threads, sampled" in ab.out) == (os.geteuid() != 0)


def test_order(ab):
    ab("-n", 4, "-w", 0, "--", "true")
    assert [r["side"][0] for r in ab.point["runs"]] == list("nssnnssn")
    assert ab.point["counted"] == {}


def test_peak_memory_is_the_programs(ab):
    """Not that of the process which started it: an interpreter has 50 times as much."""
    ab("-n", 1, "-w", 0, "--", "true")
    assert 200 < values(ab, "native", "peak RSS")[0] < 4096


def test_peak_threads_are_sampled(ab):
    ab("-n", 1, "-w", 0, "--", BENCH / "idle", "threads=40", "period=1000", "ms=1000")
    assert values(ab, "native", "peak kernel threads") == [41]
    assert values(ab, "shim", "peak kernel threads")[0] < 20


def test_memory_of_all_processes(ab, script):
    program = script("sleep 2 & sleep 2 & wait")
    ab("-n", 1, "-w", 0, "--", program)
    one, all_of_them = (values(ab, "native", n)[0]
                        for n in ("peak RSS", "RSS of all processes"))
    assert all_of_them > 1.5 * one
    assert values(ab, "native", "peak kernel threads") == [3]


def test_settings_are_for_the_shim_alone(ab, script):
    program = script('echo "rate=${GMP_SHIM_SLICE:-5} ops/s"')
    args = ["--format", "lines", "--set", "GMP_SHIM_SLICE=2000", "--", program]
    assert ab("-n", 1, *args) == 0
    assert values(ab, "native", "rate") == [5]
    assert values(ab, "shim", "rate") == [2000]


def test_exit_status_differs(ab, script):
    assert ab("-n", 3, "--", script(f"{SHIMMED} && exit 3; exit 0")) == 1
    assert "native ended with exit 0, shim with exit 3" in ab.err
    # The two warm-up runs, and no round after them.
    assert ab.point["runs"] == []


def test_signal_differs(ab, script):
    assert ab("-n", 1, "--", script(f"{SHIMMED} && kill -SEGV $$; exit 0")) == 1
    assert "shim with signal SIGSEGV" in ab.err


def test_an_end_beside_another_is_seen():
    """The command ends after the launcher has looked whether it has, because of what ended
    before: the look takes longer here."""
    launcher = BUILD / "gmp-ab-launch"
    slowly = ["strace", "-e", "trace=wait4", "-e", "inject=wait4:delay_exit=300000"]
    command = [launcher, "-c", "1", "sh", "-c", "(exit 0) & sleep .1; exit 3"]
    run = subprocess.run(
        [*slowly, "-o", "/dev/null", *command], capture_output=True, timeout=30
    )
    assert b"exit=3 " in run.stdout


def test_same_failure_is_agreement(ab, script):
    assert ab("-n", 1, "--", script("exit 3")) == 0
    assert {r["status"] for r in ab.point["runs"]} == {"exit 3"}


def test_native_that_differs_from_itself(ab, script, tmp_path):
    flag = tmp_path / "flag"
    program = script(f"{SHIMMED} && exit 0; test -e {flag} && exit 4; touch {flag}")
    assert ab("-n", 3, "--", program) == 1
    assert "it does not agree with itself" in ab.err


def test_same_output(ab, script):
    assert ab("-n", 2, "--same-output", "--", "echo", "hello") == 0
    differs = script(f"{SHIMMED} && echo two || echo one")
    assert ab("-n", 2, "--same-output", "--", differs) == 1
    assert "the output of shim is not that of native" in ab.err
    assert ab("-n", 2, "--", differs) == 0


def test_check(ab, script):
    program = script(f"{SHIMMED} && echo two || echo one")
    check = 'grep -q . "$GMP_AB_STDOUT" && test $GMP_AB_SIDE != '
    assert ab("-n", 2, "--check", check + "neither", "--", program) == 0
    assert ab("-n", 2, "--check", 'grep -q one "$GMP_AB_STDOUT"', "--", program) == 1
    assert "--check (shim) ended with exit 1" in ab.err


def test_timeout(ab, script):
    program = script(f"{SHIMMED} && exec sleep 60; exit 0")
    assert ab("-n", 1, "--timeout", 3, "--", program) == 1
    assert "shim: no end in 3 s" in ab.err


def test_stdin(ab, tmp_path):
    (tmp_path / "in").write_text("count=7\n")
    args = ["--stdin", tmp_path / "in", "--format", "lines", "--", "cat"]
    assert ab("-n", 1, *args) == 0
    assert values(ab, "shim", "count") == [7]


def test_metric(ab):
    args = ["--metric", "time[ms]=took (\\d+)", "--", "echo", "took 12"]
    assert ab("-n", 1, *args) == 0
    assert values(ab, "shim", "time") == [pytest.approx(0.012)]
    assert ab("-n", 1, "--metric", "time=x(\\d+)", "--", "echo", "took 12") == 1
    assert "--metric time: 'x(\\\\d+)' found no number" in ab.err


def test_own_pace(ab):
    program = [BENCH / "pingpong", "ms=1"]
    assert ab("-n", 1, "--own-pace", "--format", "lines", "--", *program) == 0
    names = set(ab.point["runs"][0]["values"])
    assert names == {"round trip", "peak RSS", "peak kernel threads"}


def test_csv(ab, tmp_path):
    assert ab("-n", 2, "--csv", tmp_path / "f.csv", "--", "true") == 0
    with open(tmp_path / "f.csv") as f:
        rows = list(csv.DictReader(f))
    assert {r["side"] for r in rows} == {"native", "shim"}
    walls = [r for r in rows if r["metric"] == "wall"]
    assert len(walls) == 4 and walls[0]["unit"] == "s"
    assert float(walls[0]["figure"]) == values(ab, "native", "wall")[0]


def test_sweep(ab):
    args = ["--format", "lines", "--sweep", "N=1,20,300", "--", "echo", "n={N}"]
    assert ab("-n", 1, *args) == 0
    points = ab.report["comparisons"][0]["points"]
    assert [p["value"] for p in points] == ["1", "20", "300"]
    assert [p["runs"][0]["values"]["n"] for p in points] == [1, 20, 300]
    assert "N=300" in ab.out


def test_json_is_read_again(ab, tmp_path):
    ab("-n", 2, "--", "true")
    first, table = ab.report, ab.out
    assert ab("--from", ab.json, "--json", tmp_path / "again.json") == 0
    assert ab.out == table
    assert ab.report == first
    (tmp_path / "not").write_text('{"gmp_ab": 1}')
    assert ab("--from", tmp_path / "not") == 2
    assert "not what gmp-ab --json writes" in ab.err


def test_suite(ab, tmp_path, monkeypatch):
    suite = tmp_path / "suite"
    suite.write_text(
        "# two\none: -- $PROG\n\nseveral: --sweep N=1,2 \\\n  -- $PROG {N}\n"
        "bad: -- sh -c 'case $LD_PRELOAD in *gmp*) exit 1;; esac'\n"
    )
    monkeypatch.setenv("PROG", "true")
    assert ab("--suite", suite, "-n", 1, "-w", 0) == 1
    found = ab.report["comparisons"]
    assert [(c["name"], len(c["points"])) for c in found] == [
        ("one", 1), ("several", 2), ("bad", 1)]
    assert "gmp-ab: bad: native ended with exit 0, shim with exit 1" in ab.err
    assert ab("--suite", suite, "-n", 1, "-w", 0, "--only", "^(one|sev)") == 0
    assert len(ab.report["comparisons"]) == 2
    assert ab("--suite", suite, "--only", "nothing") == 2
    assert "no line whose name matches" in ab.err
