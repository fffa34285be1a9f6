"""The runs of one comparison: warm-up, rounds, and whether both sides did the same."""

from typing import Callable

from .measure import Bench, Plan, connects
from .model import (
    KERNEL_THREADS, PEAK_COUNTED, PROGRAM_THREADS, SIDES, Comparison, Point, Run,
)
from .process import Failed

COUNTED = (KERNEL_THREADS, PEAK_COUNTED, PROGRAM_THREADS)


def order(round: int, sides: tuple[str, ...] = SIDES) -> tuple[str, ...]:
    """ABBA: what drifts falls on all alike."""
    return sides if round % 2 == 0 else sides[::-1]


class Agreement:
    """Every run has to end as the first one did, the native one, and, if outputs are looked
    at, to print the same. A difference natively is said to be one."""

    def __init__(self) -> None:
        self.first: Run | None = None

    def look(self, run: Run) -> None:
        if run.status.startswith(("no end", "killed")):
            raise Failed(f"{run.side}: {run.status}")
        first = self.first = self.first or run
        if run.status != first.status:
            raise Failed(
                f"{first.side} ended with {first.status}, {run.side} with "
                f"{run.status}{self.unsteady(run)}"
            )
        if run.output != first.output:
            raise Failed(
                f"the output of {run.side} is not that of {first.side}"
                f"{self.unsteady(run)}"
            )

    def unsteady(self, run: Run) -> str:
        return ": it does not agree with itself" if run.side == self.first.side else ""


def measure_point(
    plan: Plan,
    comparison: Comparison,
    value: str | None,
    runs: int,
    warmup: int,
    progress: Callable[[str], None],
) -> None:
    """Adds the point to the comparison; what has been measured stays there when
    something fails or the user interrupts."""
    point = Point(value)
    comparison.points.append(point)
    where = f" ({comparison.variable}={value})" if value is not None else ""
    if plan.address and connects(plan.address):
        raise Failed(
            f"--wait-port: something accepts connections at {plan.address} already"
        )
    bench = Bench(plan, comparison)
    point.skipped = bench.skipped()
    sides = tuple(s for s in comparison.sides if s not in point.skipped)
    agreement = Agreement()
    try:
        for i in range(warmup):
            for side in sides:
                progress(f"{side}, warm-up")
                # The last one counts threads: see launch.c.
                last = i == warmup - 1
                run = bench.run(side, -1, count=last)
                agreement.look(run)
                if last:
                    point.counted[side] = {
                        n: run.values[n] for n in COUNTED if n in run.values
                    }
        for round in range(runs):
            for side in order(round, sides):
                progress(f"{side}, round {round + 1} of {runs}")
                run = bench.run(side, round)
                agreement.look(run)
                point.runs.append(run)
    except Failed as e:
        raise Failed(f"{e}{where}") from None
