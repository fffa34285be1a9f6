"""A server natively and shimmed, under a load."""

import os
import socket

import pytest
from conftest import BENCH, SHIMMED

PORT = 17801
ECHO = [BENCH / "echo_server", f"port={PORT}"]


def load(connections: str = "4") -> str:
    return f"{BENCH}/echo_load port={PORT} connections={connections} ms=100"


def serve(ab, *more: object, command=ECHO, text: str | None = None) -> int:
    text = load() if text is None else text
    return ab("-n", 2, "--wait-port", PORT, "--load", text, *more, "--", *command)


def test_figures(ab):
    assert serve(ab, "--sweep", "N=3,30", text=load("{N}")) == 0
    for point, threads in zip(ab.report["comparisons"][0]["points"], (3, 30)):
        for run in point["runs"]:
            v = run["values"]
            assert v["throughput"] > 0 and v["latency p99"] >= v["latency p50"] > 0
            assert v["requests"] > 0
            assert v["server CPU a request"] < 0.01
            # as it says itself: SIGTERM is what it waits for
            assert run["status"] == "exit 0"
            assert "wall" not in v and "user" not in v
        # The connections', the listener's and the main one.
        if os.geteuid() == 0:
            peak = point["counted"]["native"]["peak kernel threads, counted"]
            assert threads + 2 <= peak <= threads + 3  # gmp-ab connects once, too
    gs = point["counted"]["shim"]["threads of the program"]
    assert threads + 1 <= gs <= threads + 4


def test_prepare_and_check_while_it_runs(ab, tmp_path):
    probe = f"{BENCH}/echo_load port={PORT} connections=1 ms=1"
    log = tmp_path / "log"
    args = ["--prepare", f"{probe} && echo prepare $GMP_AB_SIDE >>{log}",
            "--check", f"{probe} && echo check $GMP_AB_SIDE >>{log}"]
    assert serve(ab, "-w", 0, *args) == 0
    n, s = (["prepare " + x, "check " + x] for x in ("native", "shim"))
    assert log.read_text().splitlines() == n + s + s + n


@pytest.mark.skipif(not (BENCH / "go/bench").exists(), reason="not built with Go")
def test_peer(ab):
    """A server with goroutines: under the same load."""
    assert serve(ab, "--peer", f"Go={BENCH}/go/bench echo_server port={PORT}") == 0
    of = {r["side"]: r["values"] for r in ab.point["runs"]}
    assert list(of) == ["native", "shim", "Go"]
    assert of["Go"]["requests"] > 0 and of["Go"]["server CPU a request"] < 0.01


def test_port_in_use(ab):
    with socket.create_server(("127.0.0.1", PORT)):
        assert serve(ab) == 1
    assert "something accepts connections" in ab.err and str(PORT) in ab.err


@pytest.mark.parametrize("program, limit, words", [
    ("echo no luck >&2; exit 5", 60, ["ended with exit 5 before", "no luck"]),
    ("exec sleep 60", 0.5, ["accepts no connections after 0.5 s"]),
])
def test_never_listens(ab, script, program, limit, words):
    assert serve(ab, "--start-timeout", limit, command=[script(program)]) == 1
    for word in words:
        assert word in ab.err


def test_load_fails(ab):
    assert serve(ab, text="echo broken; exit 9") == 1
    assert "--load (native) ended with exit 9" in ab.err and "broken" in ab.err


def test_server_ends_early(ab):
    assert serve(ab, text="sleep 30", command=["timeout", "0.5", *ECHO]) == 1
    assert "ended during the load" in ab.err


def test_exit_status_differs(ab, script):
    server = " ".join(map(str, ECHO))
    program = script(f"trap '' TERM; {server}; {SHIMMED} && exit 1; exit 0")
    assert serve(ab, command=[program]) == 1
    assert "native ended with exit 0, shim with exit 1" in ab.err


def test_unix_socket(ab, tmp_path, script):
    at = tmp_path / "s"
    server = tmp_path / "server.py"
    server.write_text(
        "import os, socket, sys\n"
        f"if os.path.exists({str(at)!r}): os.unlink({str(at)!r})\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        f"s.bind({str(at)!r}); s.listen()\n"
        "while True: s.accept()[0].close()\n"
    )
    assert ab("-n", 1, "-w", 0, "--wait-port", at, "--load", "echo rate=5 req/s", "--",
              "/usr/bin/python3", server) == 0
    assert ab.point["runs"][0]["values"]["rate"] == 5
    assert ab.point["runs"][0]["status"] == "signal SIGTERM"
