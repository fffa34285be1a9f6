"""On what it was measured."""

import os
import platform
import time
from pathlib import Path


def most_threads() -> tuple[int, str]:
    """That the kernel lets a process have, natively, and what sets that: two mappings
    a thread, its stack and the guard."""
    limits = [("kernel/pid_max", 1), ("kernel/threads-max", 1), ("vm/max_map_count", 2)]
    found = [(int(Path("/proc/sys", name).read_text()) // each, name)
             for name, each in limits]
    most, name = min(found)
    return most, f"{most:,} at most ({Path(name).name})"


def describe() -> tuple[dict[str, str], str]:
    """The machine's properties and the time."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = [x for x in cpuinfo.splitlines() if x.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    facts = {
        "CPUs": str(len(os.sched_getaffinity(0))),
        "processor": model[0].partition(":")[2].strip() if model else "unknown",
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "C library": " ".join(platform.libc_ver()),
    }
    if " hypervisor" in cpuinfo:
        facts["processor"] += " (virtual)"
    return facts, time.strftime("%Y-%m-%d %H:%M:%S %z")
