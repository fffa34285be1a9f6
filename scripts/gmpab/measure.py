"""One run: of a program from its start to its end, or of a server under a load."""

import hashlib
import os
import re
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Iterator

from .machine import most_threads
from .model import (
    HIGHER, KERNEL_THREADS, NATIVE, PEAK_COUNTED, PEAK_SAMPLED, PROGRAM_THREADS, SHIM,
    Comparison, Metric, Run,
)
from .parse import custom, parse
from .process import Command, Failed, Tools, environment


@dataclass
class Plan:
    """How to run the two sides, with a sweep's value put in already."""

    tools: Tools
    command: list[str]
    peer: list[str] | None = None  # a command as well
    alive: str | None = None  # threads that it has at once, at least
    load: str | None = None
    address: tuple[str, int] | str | None = None  # of the server: TCP, or a path
    prepare: str | None = None
    check: str | None = None
    same_output: bool = False
    form: str = "auto"
    own_pace: bool = False  # how much it does depends on how fast it is
    metrics: list[tuple[str, re.Pattern[str]]] = field(default_factory=list)
    higher: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout: float = 300.0
    start_timeout: float = 30.0


REQUESTS = "requests"

# name, unit, what the launcher calls it, and whether it grows with the work
ACCOUNTS = [
    ("user", "s", "user", True),
    ("sys", "s", "sys", True),
    ("peak RSS", "KiB", "rss", False),
    ("voluntary switches", "", "nvcsw", True),
    ("involuntary switches", "", "nivcsw", True),
    ("minor faults", "", "minflt", True),
    ("major faults", "", "majflt", True),
]


@dataclass
class Files:
    out: IO[bytes]
    err: IO[bytes]

    def text(self, which: IO[bytes]) -> str:
        which.seek(0)
        return which.read().decode(errors="replace")

    def tail(self) -> str:
        """The end of what it said, to be put behind a message."""
        said = (self.text(self.err).strip() or self.text(self.out).strip())[-2000:]
        lines = said.splitlines()[-6:]
        return "".join(f"\n    {line}" for line in lines)


@contextmanager
def files() -> Iterator[Files]:
    with tempfile.NamedTemporaryFile(prefix="gmp-ab-out-") as out:
        with tempfile.NamedTemporaryFile(prefix="gmp-ab-err-") as err:
            yield Files(out, err)


REPORT = re.compile(
    r"^gmp_shim: \d+: (\d+) threads ran as Gs on (\d+) kernel threads", re.M
)


class Bench:
    """Runs a plan, and knows the comparison whose metrics it finds."""

    def __init__(self, plan: Plan, comparison: Comparison) -> None:
        self.plan = plan
        self.comparison = comparison
        self.library = plan.tools.library(plan.command[0])

    def run(self, side: str, round: int, count: bool = False) -> Run:
        env = environment(self.library if side == SHIM else None, self.plan.settings)
        if count and side == SHIM:
            env["GMP_SHIM_VERBOSE"] = "1"  # how many Gs there were, at exit
        with files() as kept:
            with Command(
                self.plan.tools.launcher, self.words(side), env, kept.out, kept.err,
                self.plan.stdin, count,
            ) as command:
                if self.plan.load is None:
                    run = self.program(command, kept, side, round)
                else:
                    run = self.server(command, kept, side, round)
            self.accounts(run, command)
            if count:
                self.threads(run, command, kept)
        return run

    def words(self, side: str) -> list[str]:
        peer = self.plan.peer if side == self.comparison.peer else None
        return peer or self.plan.command

    def skipped(self) -> dict[str, str]:
        """The sides that cannot run it."""
        most, why = most_threads()
        if self.plan.alive is None or int(self.plan.alive) < most:
            return {}
        return {NATIVE: f"{int(self.plan.alive):,} threads; the kernel has {why}"}

    def put(self, run: Run, metric: Metric, value: float) -> None:
        self.comparison.add_metric(metric)
        run.values[metric.name] = value

    # ---- A program --------------------------------------------------------------

    def program(self, command: Command, kept: Files, side: str, round: int) -> Run:
        done = command.ended(self.plan.timeout)
        status = command.status if done else f"no end in {self.plan.timeout:g} s"
        run = Run(side, round, status)
        if done:
            self.own(run, kept.text(kept.out))
            if not self.plan.own_pace:
                self.put(run, Metric("wall", "s"), command.result["wall"])
            if self.plan.same_output:
                text = kept.text(kept.out)
                run.output = hashlib.sha256(text.encode()).hexdigest()
            self.checked(side, kept)
        return run

    def own(self, run: Run, text: str) -> None:
        """The figures that the program, or the load tool, gives itself."""
        found = parse(text, self.plan.form)
        for name, pattern in self.plan.metrics:
            if not (one := custom(text, name, pattern)):
                raise Failed(
                    f"--metric {name}: {pattern.pattern!r} found no number in the "
                    f"output ({run.side})"
                )
            found.append(one)
        for one in found:
            better = HIGHER if one.name in self.plan.higher else one.better
            self.put(run, Metric(one.name, one.unit, better, own=True), one.value)

    # ---- A server under a load --------------------------------------------------

    def server(self, command: Command, kept: Files, side: str, round: int) -> Run:
        self.wait_for_port(command, kept, side)
        if self.plan.prepare:
            with files() as told:
                self.shell(self.plan.prepare, "--prepare", side, told)
        run = Run(side, round, "")
        with files() as told:
            user, system = command.watch.cpu()
            wall = self.shell(self.plan.load, "--load", side, told, command)
            user_end, system_end = command.watch.cpu()
            self.own(run, told.text(told.out) + "\n" + told.text(told.err))
        cpu = user_end - user + system_end - system
        self.put(run, Metric("load's time", "s"), wall)
        if requests := self.requests(run, wall):
            self.put(run, Metric(REQUESTS, "", HIGHER, own=True), requests)
            name = "server CPU a request"
            self.put(run, Metric(name, "s", own=True), cpu / requests)
        else:
            self.put(run, Metric("server CPU during the load", "s"), cpu)
        self.checked(side, kept)
        command.stop()
        run.status = command.status
        if command.result and command.result["killed"]:
            run.status = "killed: did not end on SIGTERM"
        return run

    def requests(self, run: Run, wall: float) -> float:
        """How many were served: as counted by the tool, or by its rate."""
        if REQUESTS in run.values:
            return run.values[REQUESTS]
        rates = [v for n, v in run.values.items() if n.endswith("throughput")]
        # of the whole, or of the only test there was
        rate = run.values.get("throughput") or (rates[0] if len(rates) == 1 else 0)
        return rate * wall

    def wait_for_port(self, command: Command, kept: Files, side: str) -> None:
        deadline = time.monotonic() + self.plan.start_timeout
        while not connects(self.plan.address):
            if command.ended(0.01):
                raise Failed(
                    f"the server ({side}) ended with {command.status} before it "
                    f"accepted connections{kept.tail()}"
                )
            if time.monotonic() > deadline:
                raise Failed(
                    f"the server ({side}) accepts no connections after "
                    f"{self.plan.start_timeout:g} s{kept.tail()}"
                )

    # ---- What is common ---------------------------------------------------------

    def shell(
        self, text: str, option: str, side: str, told: Files,
        beside: Command | None = None, more: dict[str, str] | None = None,
    ) -> float:
        """Runs a shell command, natively, and gives the seconds it took. The server
        beside it is watched meanwhile."""
        env = environment(None, {}) | {"GMP_AB_SIDE": side} | (more or {})
        with Command(
            self.plan.tools.launcher, ["sh", "-c", text], env, told.out, told.err
        ) as command:
            if beside:
                command.watch = beside.watch
            deadline = time.monotonic() + self.plan.timeout
            while not command.ended(0.1):
                if beside and beside.ended(0):
                    raise Failed(f"the server ({side}) ended during the load")
                if time.monotonic() > deadline:
                    raise Failed(f"{option} ({side}): no end in {self.plan.timeout:g} s")
            if command.status != "exit 0":
                raise Failed(
                    f"{option} ({side}) ended with {command.status}: "
                    f"{text}{told.tail()}"
                )
            return command.result["wall"]

    def checked(self, side: str, kept: Files) -> None:
        if not self.plan.check:
            return
        where = {"GMP_AB_STDOUT": kept.out.name, "GMP_AB_STDERR": kept.err.name}
        with files() as told:
            self.shell(self.plan.check, "--check", side, told, more=where)

    def accounts(self, run: Run, command: Command) -> None:
        """What the kernel says of the whole life of the command. Peaks always; what
        grows with the work only where both sides do the same, or by the request."""
        used = command.result or {}
        requests = run.values.get(REQUESTS, 0)
        for name, unit, key, grows in ACCOUNTS:
            if key not in used or grows and self.plan.own_pace:
                continue
            if grows and requests:
                if unit != "s":  # of that the load's part is known: server()
                    self.put(run, Metric(f"{name} a request", ""), used[key] / requests)
            else:
                self.put(run, Metric(name, unit), used[key])
        # A program that ended before the first sample had one thread at least.
        threads = max(1, command.watch.threads)
        self.put(run, Metric(PEAK_SAMPLED, ""), threads)
        if command.watch.processes > 1:
            rss = command.watch.rss / 1024
            self.put(run, Metric("RSS of all processes", "KiB"), rss)

    def threads(self, run: Run, command: Command, kept: Files) -> None:
        used = command.result or {}
        if "threads" in used:
            run.values[KERNEL_THREADS] = used["threads"]
            run.values[PEAK_COUNTED] = used["peak"]
        reports = REPORT.findall(kept.text(kept.err))
        if run.side != SHIM and "threads" in used:
            run.values[PROGRAM_THREADS] = used["threads"]
        elif run.side == SHIM and reports:
            run.values[PROGRAM_THREADS] = sum(int(gs) for gs, _ in reports)


def connects(address: tuple[str, int] | str | None) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if isinstance(address, tuple) and ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(1.0)
        return s.connect_ex(address) == 0


def stdin_path(path: str) -> str:
    if not os.access(path, os.R_OK):
        raise ValueError
    return str(Path(path).resolve())
