"""A task and its result: the words all tasks share.

A task has a name, a lesson and goals. Its file in this folder holds one function, ``run(seed=…, quick=…, report=…)``,
which makes the data, trains, measures on test data, draws, and returns an `Outcome`. `Task.run` sets the seeds, calls
it and holds what came out against the goals: a `Result`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepnn import defaults
from hepnn.errors import InputError
from hepnn.roc import Measured, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["Fit", "Goal", "Metric", "Outcome", "Report", "Result", "Table", "Task"]

Report = Callable[[str], None]
"""Called with a line of text when there is progress to tell."""


class Goal(NamedTuple):
    """What a task has to reach.

    Attributes:
        metric: the name of what is measured, with its unit.
        target: the bound it has to keep.
        quick: the bound of a quick run, which trains on little.
        at_least: whether the bounds are lower ones; else they are upper ones.
    """

    metric: str
    target: float
    quick: float
    at_least: bool = True

    def bound(self, *, quick: bool) -> str:
        """Returns the bound as text, such as ``≥ 0.95``."""
        return f"{'≥' if self.at_least else '≤'} {self.quick if quick else self.target:g}"


class Metric(NamedTuple):
    """What was measured, and what was wanted.

    Attributes:
        name: what it is, with its unit.
        value: on the test data.
        uncertainty: one standard deviation, statistical.
        target: the bound.
        bound: the bound as text, such as ``≥ 0.95``.
        passed: whether the value keeps it; NaN does not.
    """

    name: str
    value: float
    uncertainty: float
    target: float
    bound: str
    passed: bool

    @classmethod
    def of(cls, goal: Goal, measured: Measured, *, quick: bool) -> Metric:
        """Returns what was measured, held against a goal."""
        target = goal.quick if quick else goal.target
        passed = measured.value >= target if goal.at_least else measured.value <= target
        return cls(goal.metric, measured.value, measured.error, target, goal.bound(quick=quick), passed)


class Fit(NamedTuple):
    """A network after its training.

    Attributes:
        model: an ordinary Keras model.
        history: values by name (``loss``, ``val_accuracy`` …), one an epoch; empty if it was not trained.
        seconds: wall time of the training.
    """

    model: Any
    history: Mapping[str, Sequence[float]] = {}
    seconds: float = 0.0


class Table(NamedTuple):
    """A table for the reader.

    Attributes:
        title: one line above it.
        columns: names.
        rows: one entry a column each; numbers, texts or `Measured`.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold: titles and rows."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(map(_plain, row)) for row in self.rows],
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the function of a task returns.

    Attributes:
        measured: by the metric of each goal, what was measured on test data.
        fits: the networks by name; the first is the one the task is about.
        n_test: test samples behind the numbers.
        tables: for the reader.
        figures: matplotlib figures by name: what the network did, seen.
    """

    measured: Mapping[str, Measured]
    fits: Mapping[str, Fit]
    n_test: int
    tables: Sequence[Table] = ()
    figures: Mapping[str, Figure | SubFigure] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result(Outcome):
    """The outcome of a task, held against its goals.

    Attributes:
        task: the task.
        seed: what it was run with.
        quick: whether it was a quick run.
    """

    task: Task
    seed: int
    quick: bool

    @property
    def metrics(self) -> list[Metric]:
        """What was measured beside what was wanted, in the order of the task's goals."""
        return [Metric.of(goal, self.measured[goal.metric], quick=self.quick) for goal in self.task.goals]

    @property
    def passed(self) -> bool:
        """Whether every metric keeps its bound."""
        return all(metric.passed for metric in self.metrics)

    @property
    def model(self) -> Any:
        """The Keras model the task is about."""
        return next(iter(self.fits.values())).model

    @property
    def parameters(self) -> int:
        """Number of parameters of that model."""
        return int(self.model.count_params())

    @property
    def seconds(self) -> float:
        """Wall time of all the training in the task."""
        return sum(fit.seconds for fit in self.fits.values())

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold: all but models and figures."""
        return {
            "task": self.task.name,
            "seed": self.seed,
            "quick": self.quick,
            "passed": self.passed,
            "metrics": [{key: _plain(value) for key, value in metric._asdict().items()} for metric in self.metrics],
            "n_test": self.n_test,
            "training_seconds": self.seconds,
            "models": {
                name: {
                    "parameters": int(fit.model.count_params()),
                    "seconds": fit.seconds,
                    "history": {key: list(map(_plain, values)) for key, values in fit.history.items()},
                }
                for name, fit in self.fits.items()
            },
            "tables": [table.to_dict() for table in self.tables],
        }


@dataclass(frozen=True)
class Task:
    """One benchmark: seeded data, a model, a metric, a target.

    Attributes:
        name: as on the command line, such as ``shapes-count``; its file is ``shapes_count.py``.
        lesson: what it teaches, in a sentence.
        goals: what it has to reach, the most telling first.
        path: name of the module with its function ``run``, if it is not one of hepnn's own.
    """

    name: str
    lesson: str
    goals: tuple[Goal, ...]
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {"task": self.name, "lesson": self.lesson, "goals": [goal._asdict() for goal in self.goals]}

    @property
    def module(self) -> Any:
        """The task's module, imported when it is first needed."""
        return importlib.import_module(self.path or f"hepnn.tasks.{self.name.replace('-', '_')}")

    def run(self, *, seed: int = defaults.SEED, quick: bool = False, report: Report | None = None) -> Result:
        """Returns what came out.

        Args:
            seed: of data, initial weights and training. Training, validation and test data are drawn from streams of
                their own (see `hepnn.tasks.fitting.streams`).
            quick: train on little, in seconds; the bounds are lower then.
            report: called with a line of text now and then.

        Raises:
            InputError: the seed is no whole number from 0 on.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"asked to run {self.name} with seed={seed!r}; give a whole number from 0 on.")
        from hepnn.training import seeded

        with seeded(int(seed)):
            outcome: Outcome = self.module.run(seed=int(seed), quick=quick, report=report or (lambda line: None))
        return Result(**vars(outcome), task=self, seed=int(seed), quick=quick)


def _plain(value: Any) -> Any:
    """Returns what JSON can hold for an entry of a table."""
    if isinstance(value, Measured):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    return plain(value) if isinstance(value, float) else value
