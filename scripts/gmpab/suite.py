"""Many comparisons from a file.

Each line is "name: [options] -- command"; # begins a comment, a backslash at its end
continues a line, and $NAME is the environment's.
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .measure import Plan
from .model import Comparison
from .process import Failed, Tools


@dataclass
class Entry:
    comparison: Comparison
    values: list[str | None]  # of the sweep
    plan: Callable[[Tools], Plan]


def read_suite(
    path: Path,
    only: re.Pattern[str] | None,
    make: Callable[[str, list[str]], Entry],
) -> list[Entry]:
    entries: list[Entry] = []
    for line in path.read_text().replace("\\\n", " ").splitlines():
        name, colon, rest = line.partition(":")
        name = name.strip()
        if not name or name.startswith("#"):
            continue
        if not colon or not rest.strip():
            raise Failed(f"{path}: {line!r} is not accepted: name: [options] -- command")
        if any(e.comparison.name == name for e in entries):
            raise Failed(f"{path}: {name!r} comes twice")
        if only and not only.search(name):
            continue
        words = [os.path.expandvars(w) for w in shlex.split(rest, comments=True)]
        entries.append(make(name, words))
    if not entries:
        what = f" whose name matches {only.pattern}" if only else ""
        raise Failed(f"{path} has no line{what}")
    return entries
