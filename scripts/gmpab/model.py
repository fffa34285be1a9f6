"""What is measured. A report has comparisons, a comparison has points (one, or one for
each value of a sweep), a point has runs: in each round one of each side. The sides are
the program natively and shimmed, and perhaps a peer: another program that does the same
in its own way, natively."""

import math
from dataclasses import dataclass, field

NATIVE, SHIM = "native", "shim"
SIDES = (NATIVE, SHIM)

LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Metric:
    """Times are in seconds ("s"), memory in "KiB"; show() finds the prefix."""

    name: str
    unit: str
    better: str = LOWER
    # of the program itself or its load, not of the kernel's accounts
    own: bool = False


# Counted in a warm-up run, once: the counting would cost time in others.
KERNEL_THREADS = "kernel threads created"
PEAK_COUNTED = "peak kernel threads, counted"
PROGRAM_THREADS = "threads of the program"

# In every run, and exact only for what lasts.
PEAK_SAMPLED = "peak kernel threads"


@dataclass
class Run:
    side: str
    round: int
    status: str
    values: dict[str, float] = field(default_factory=dict)
    output: str = ""  # a digest


@dataclass
class Point:
    value: str | None = None
    runs: list[Run] = field(default_factory=list)
    counted: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # sides: why

    def of(self, side: str, name: str) -> list[float]:
        """The values of a metric of one side."""
        return [r.values[name] for r in self.runs
                if r.side == side and name in r.values]

    def pairs(
        self, name: str, sides: tuple[str, str] = SIDES
    ) -> tuple[list[float], list[float]]:
        """The values of a metric of two sides, of the rounds that have both."""
        one, other = sides
        found: dict[int, dict[str, float]] = {}
        for run in self.runs:
            if name in run.values:
                found.setdefault(run.round, {})[run.side] = run.values[name]
        both = [v for _, v in sorted(found.items()) if one in v and other in v]
        return [v[one] for v in both], [v[other] for v in both]


@dataclass
class Comparison:
    name: str
    command: list[str]
    load: str | None = None
    variable: str | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    peer: str | None = None  # its name

    @property
    def sides(self) -> tuple[str, ...]:
        return (*SIDES, self.peer) if self.peer else SIDES

    def add_metric(self, metric: Metric) -> None:
        self.metrics.setdefault(metric.name, metric)

    def own_metrics(self) -> list[Metric]:
        return [m for m in self.metrics.values() if m.own]


@dataclass
class Report:
    machine: dict[str, str]
    began: str
    comparisons: list[Comparison] = field(default_factory=list)
    interrupted: bool = False


# ---- Numbers for people --------------------------------------------------------

# value in the base unit from which a prefix is used, its size, its name
_SCALES = {
    "s": [(1, 1, "s"), (1e-3, 1e-3, "ms"), (1e-6, 1e-6, "us"), (0, 1e-9, "ns")],
    "KiB": [(2**20, 2**20, "GiB"), (2**10, 2**10, "MiB"), (0, 1, "KiB")],
}
_PLAIN = [(1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, "")]

# What programs call the units above.
_NAMES = {
    "ns": ("s", 1e-9), "us": ("s", 1e-6), "µs": ("s", 1e-6), "usec": ("s", 1e-6),
    "ms": ("s", 1e-3), "msec": ("s", 1e-3), "s": ("s", 1.0), "sec": ("s", 1.0),
    "B": ("KiB", 1 / 1024), "bytes": ("KiB", 1 / 1024), "kB": ("KiB", 1000 / 1024),
    "KiB": ("KiB", 1.0), "MiB": ("KiB", 1024.0), "GiB": ("KiB", 1024.0**2),
}


def normal(value: float, unit: str) -> tuple[float, str]:
    base, factor = _NAMES.get(unit, (unit, 1.0))
    return value * factor, base


def direction(unit: str) -> str:
    """Rates are better when higher, everything else when lower."""
    return HIGHER if unit.endswith("/s") else LOWER


def digits(value: float, count: bool = False) -> str:
    """Three significant digits, and never an exponent; a whole count as it is."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{0 if count and value == round(value) else places}f}"


def show(value: float, unit: str) -> str:
    for least, size, name in _SCALES.get(unit, _PLAIN):
        if abs(value) >= least or least == 0:
            text = digits(value / size, count=size == 1 and unit not in _SCALES)
            if unit in _SCALES:
                return f"{text} {name}"
            return f"{text}{' ' if name else ''}{name} {unit}".rstrip()
    return digits(value)
