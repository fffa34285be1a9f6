"""One command: started through launch.c, watched while it runs, ended.

Whatever a command starts ends with it: launch.c sees to that also when this process
dies.
"""

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil


class Failed(Exception):
    """A run that cannot be measured; says why."""


@dataclass(frozen=True)
class Tools:
    """What was built: the launcher, the library, and the script that judges whether
    the library can be preloaded into a program."""

    launcher: Path
    gmp_run: Path

    @staticmethod
    def find(beside: Path) -> "Tools":
        def first(name: str, folders: list[str]) -> Path:
            for folder in folders:
                if (beside / folder / name).is_file():
                    return (beside / folder / name).resolve()
            raise Failed(f"no {name}: make builds it")

        return Tools(
            first("gmp-ab-launch", [".", "../build", "../lib"]),
            first("gmp-run", ["."]),
        )

    def library(self, program: str) -> str:
        """The library's path; fails where it cannot be preloaded into the program."""
        said = subprocess.run(
            [self.gmp_run, "-l", program], capture_output=True, text=True
        )
        if said.returncode:
            raise Failed(said.stderr.strip().removeprefix("gmp-run: "))
        return said.stdout.strip()


def environment(library: str | None, settings: dict[str, str]) -> dict[str, str]:
    """This process's, with the library preloaded or surely without."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GMP_SHIM")}
    preload = [
        name
        for name in env.pop("LD_PRELOAD", "").replace(":", " ").split()
        if Path(name).name != "libgmp_shim.so"
    ]
    if library:
        env |= {k: v for k, v in os.environ.items() if k.startswith("GMP_SHIM_")}
        env |= settings
        preload.insert(0, library)
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
    return env


class Watch:
    """Samples the threads and the memory of a process and all below it. What a sample
    costs sets how often there is one, so that it takes 2 % of a CPU (more only where
    that would be less than ten a second); and another 2 % the search for children,
    which looks at all processes there are."""

    LEAST, MOST = 0.005, 0.1
    TREE_LEAST = 0.25
    SHARE = 0.02

    def __init__(self, pid: int) -> None:
        self.known: dict[int, psutil.Process] = {}
        self.root: psutil.Process | None = None
        self.threads = 0
        self.rss = 0
        self.processes = 1
        self.tree_at = 0.0
        self.wait = self.LEAST
        try:
            self.root = self.known[pid] = psutil.Process(pid)
        except psutil.NoSuchProcess:
            pass

    def find_children(self) -> None:
        began = time.thread_time()
        try:
            for child in self.root.children(recursive=True) if self.root else []:
                self.known.setdefault(child.pid, child)
        except psutil.NoSuchProcess:
            pass
        cost = time.thread_time() - began
        self.tree_at = time.monotonic() + max(self.TREE_LEAST, cost / self.SHARE)

    def sample(self) -> None:
        if time.monotonic() >= self.tree_at:
            self.find_children()
        began = time.thread_time()
        threads = rss = 0
        for pid, process in list(self.known.items()):
            try:
                threads += process.num_threads()
                rss += process.memory_info().rss
            except psutil.Error:
                del self.known[pid]
        self.threads = max(self.threads, threads)
        self.processes = max(self.processes, len(self.known))
        self.rss = max(self.rss, rss)
        cost = time.thread_time() - began
        self.wait = min(self.MOST, max(self.LEAST, cost / self.SHARE))

    def cpu(self) -> tuple[float, float]:
        """User and system seconds so far, of all that are alive."""
        self.find_children()
        user = system = 0.0
        for process in self.known.values():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            user += times.user + times.children_user
            system += times.system + times.children_system
        return user, system


class Command:
    """A command that runs. Use it with "with": on the way out it ends."""

    def __init__(
        self,
        launcher: Path,
        argv: list[str],
        env: dict[str, str],
        out: IO[bytes],
        err: IO[bytes],
        stdin: str | None = None,
        count: bool = False,
        grace: float = 5.0,
    ) -> None:
        self.said = b""
        self.result: dict[str, float] | None = None
        self.fd, theirs = os.pipe()
        options = ["-g", str(int(grace * 1000))] + ["-c"] * count
        options += ["-i", stdin] if stdin else []
        try:
            self.launch = subprocess.Popen(
                [launcher, *options, str(theirs), *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                pass_fds=[theirs],
            )
        finally:
            os.close(theirs)
        self.pid = 0
        while not self.pid and self.more(None):
            pass
        if not self.pid:
            self.launch.wait()
            raise Failed(f"{argv[0]}: the launcher could not start it")
        self.watch = Watch(self.pid)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self.fd)

    def more(self, timeout: float | None) -> bool:
        """Takes what the launcher says within the time; False at its end."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        data = os.read(self.fd, 4096)
        *lines, self.said = (self.said + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            if word == "started":
                self.pid = int(rest)
            else:
                pairs = (pair.split("=") for pair in line.decode().split())
                self.result = {name: float(number) for name, number in pairs}
        return bool(data)

    def ended(self, within: float) -> bool:
        """Watches for as long, or until it has ended."""
        deadline = time.monotonic() + within
        while not self.result:
            left = max(0.0, deadline - time.monotonic())
            if not self.more(min(left, self.watch.wait)):
                break
            if not self.result and not left:
                return False
            if not self.result:
                self.watch.sample()
        self.launch.wait()
        return True

    def stop(self) -> None:
        """Ends it, by SIGTERM first."""
        if self.launch.poll() is None:
            self.launch.send_signal(signal.SIGTERM)
            while not self.result and self.more(None):
                pass
            self.launch.wait()

    @property
    def status(self) -> str:
        if not self.result:
            return "lost"
        if number := int(self.result["signal"]):
            return f"signal {signal.Signals(number).name}"
        return f"exit {int(self.result['exit'])}"
