"""^C leaves partial results and no process, and so does a worse end."""

import json
import os
import pty
import signal
import subprocess
import time
import uuid

import psutil
import pytest
from conftest import GMP_AB


def having(mark: str) -> list[psutil.Process]:
    """Processes with the mark in their environment, whoever their parent is now."""
    found = []
    for p in psutil.process_iter():
        try:
            if p.environ().get("AB_MARK") == mark and p.status() != "zombie":
                found.append(p)
        except psutil.Error:
            pass
    return found


def until(condition, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def running(tmp_path, script):
    """gmp-ab on a terminal; the program's third run leaves a daemon and sleeps."""
    mark = str(uuid.uuid4())
    runs = tmp_path / "runs"
    program = script(
        f"echo >>{runs}; test $(wc -l <{runs}) -lt 3 && exit 0\n"
        f"trap '' INT TERM; setsid sleep 100 & touch {tmp_path}/third; sleep 100; wait"
    )
    terminal, theirs = pty.openpty()
    args = ["-n", "9", "-w", "0", "--json", str(tmp_path / "out.json")]
    # Its own session with the terminal, so that ^C is the terminal's.
    process = subprocess.Popen(
        ["setsid", "--ctty", GMP_AB, *args, "--", program],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"AB_MARK": mark, "TERM": "xterm", "TMPDIR": str(tmp_path)},
    )
    os.close(theirs)
    assert until((tmp_path / "third").exists)
    process.terminal, process.mark, process.folder = terminal, mark, tmp_path
    yield process
    os.close(terminal)
    for p in having(mark):
        p.kill()


def said(process) -> str:
    text = b""
    try:
        while chunk := os.read(process.terminal, 65536):
            text += chunk
    except OSError:
        pass  # the terminal's other side is closed
    return text.decode(errors="replace")


def test_control_c(running):
    assert len(having(running.mark)) >= 4  # gmp-ab, launcher, program, daemon
    os.write(running.terminal, b"\x03")
    text = said(running)
    assert running.wait(60) == 130
    assert having(running.mark) == []
    assert "interrupted: the figures are partial" in text
    assert "native, round 1 of 9" in text  # the progress
    report = json.loads((running.folder / "out.json").read_text())
    assert report["interrupted"]
    assert len(report["comparisons"][0]["points"][0]["runs"]) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_other_ends(running, number):
    gmp_ab = [p for p in having(running.mark) if "gmp-ab" in " ".join(p.cmdline()[:2])]
    min(gmp_ab, key=lambda p: p.create_time()).send_signal(number)
    said(running)
    running.wait(60)
    assert until(lambda: having(running.mark) == [])
