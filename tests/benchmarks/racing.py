"""Timing two things against each other, and the table of what came out.

Times are taken in turn, ours, theirs, ours, theirs, and the shortest of each counts: what else a machine does only adds
to it. Beside the wall time goes the processor time, of all threads and child processes, which other work changes less.
"""

import datetime
import os
import platform
import resource
import time
from importlib import metadata
from typing import NamedTuple

PACKAGES = (
    "hepnn",
    "numpy",
    "awkward",
    "uproot",
    "keras",
    "tensorflow",
    "onnxruntime",
    "torch",
    "weaver-core",
    "energyflow",
)

ROOM = 2
"""A race fails only where it misses its target by so much: the table says what was reached, the test finds what broke."""


class Time(NamedTuple):
    """Seconds."""

    wall: float
    processor: float


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        what: is measured.
        against: what it is compared with.
        ours: as text, with unit.
        theirs: as text, with unit.
        ratio: the figure that is judged.
        target: what it has to reach.
        at_most: whether the target is an upper limit.
        processor: the ratio of processor times, or None where there is none.
    """

    what: str
    against: str
    ours: str
    theirs: str
    ratio: float
    target: float
    at_most: bool = False
    processor: float | None = None

    @property
    def passes(self):
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    @property
    def broken(self):
        return self.ratio > ROOM * self.target if self.at_most else self.ratio < self.target / ROOM


def _processor_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(action):
    processor, wall = _processor_seconds(), time.perf_counter()
    action()
    return Time(time.perf_counter() - wall, _processor_seconds() - processor)


def in_turn(*actions, repeats=3):
    """The shortest time of each action."""
    times = [[timed(action) for action in actions] for _ in range(repeats)]
    return [Time(*map(min, zip(*of_one, strict=True))) for of_one in zip(*times, strict=True)]


def rates(what, against, n_jets, ours, theirs, *, target):
    """The row of two times in which ``n_jets`` jets were done."""
    return Row(
        what,
        against,
        f"{n_jets / ours.wall:,.0f} jets/s",
        f"{n_jets / theirs.wall:,.0f} jets/s",
        theirs.wall / ours.wall,
        target,
        processor=theirs.processor / ours.processor,
    )


def cores():
    """Those that this process may run on; each side gets as many threads."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def machine():
    """Processor, cores and versions, in a line."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):  # noqa: PTH110
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    n_cores = len(cores())
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return (
        f"Measured on {today} on {n_cores} core{'s' * (n_cores > 1)} of an {name} (Python {platform.python_version()}, "
        f"{', '.join(found)})."
    )


def table(rows):
    """The rows as Markdown."""
    lines = [
        "| what | against | hepnn | theirs | ratio | of processor time | target | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        processor = "" if row.processor is None else f"{row.processor:.2g}"
        lines.append(
            f"| {row.what} | {row.against} | {row.ours} | {row.theirs} | {row.ratio:.3g} | {processor} | "
            f"{sign} {row.target:g} | {'yes' if row.passes else 'no'} |"
        )
    return "\n".join(lines)
