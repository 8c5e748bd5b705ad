"""Tasks and results as tables for the terminal, and as one page with all of them."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

import hepnn
from hepnn.page import Link, Page, PageTable, Section, Verdict, write_page
from hepnn.roc import Measured
from hepnn.tasks.saving import SavedResult
from hepnn.tasks.task import Table, Task

__all__ = ["lesson_table", "result_table", "task_table", "write_report"]


def task_table(tasks: Iterable[Task]) -> RichTable:
    """Returns a table with a row for each task."""
    table = RichTable("task", "what it teaches", "goal")
    for task in tasks:
        table.add_row(
            task.name, task.lesson, "\n".join(f"{goal.metric} {goal.bound(quick=False)}" for goal in task.goals)
        )
    return table


def lesson_table(table: Table) -> RichTable:
    """Returns a task's own table."""
    shown = RichTable(*table.columns, title=table.title, title_justify="left")
    for row in table.rows:
        shown.add_row(*(f"{entry:.4g}" if isinstance(entry, float) else str(entry) for entry in row))
    return shown


def result_table(results: Iterable[Mapping[str, Any]]) -> RichTable:
    """Returns a table with a row for each metric of each result.

    Args:
        results: as `hepnn.tasks.task.Result.to_dict` gives them.
    """
    table = RichTable("task", "metric", caption="± one standard deviation, statistical", caption_justify="left")
    for name in ("value", "target", "passed", "training", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, metric, value, target, passed, *rest in (row for result in results for row in _rows(result)):
        table.add_row(name, metric, value, target, "yes" if passed else "no", *rest)
    return table


def write_report(results: Mapping[Task, SavedResult], path: Path) -> Path:
    """Returns the HTML page with all results, self-contained.

    Args:
        results: by task, in the order they are shown in.
        path: where it goes; an earlier page is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    n_passed = sum(result.values["passed"] for result in results.values())
    first = next(iter(results.values())).values
    overview = PageTable(
        "",
        ("task", "metric", "value", "target", "", "training", "parameters"),
        [
            (Link(name) if name else "", metric, value, target, Verdict(passed), *rest)
            for result in results.values()
            for name, metric, value, target, passed, *rest in _rows(result.values)
        ],
    )
    page = Page(
        "hepnn: the tasks",
        f"{n_passed} of {len(results)} tasks reach their targets"
        f"{' of a quick run' if first['quick'] else ''}. Seed {first['seed']}, hepnn {hepnn.__version__}, Python "
        f"{platform.python_version()} on {platform.machine()}. Uncertainties are one standard deviation, those of a "
        "finite number of test samples; times are those of the training.",
        [overview],
        [_section(task, result) for task, result in results.items()],
    )
    return write_page(page, path)


def _rows(result: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Task, metric, value, bound, whether it is kept, training time and parameters; the task only in its first row."""
    model = next(iter(result["models"].values()))
    about = (result["task"], f"{result['training_seconds']:.0f} s", f"{model['parameters']:,}")
    rows: list[tuple[Any, ...]] = []
    for metric in result["metrics"]:
        value = (
            "not finite" if metric["value"] is None else str(Measured(metric["value"], metric["uncertainty"] or 0.0))
        )
        name, *rest = about if not rows else ("",) * len(about)
        rows.append((name, metric["name"], value, metric["bound"], metric["passed"], *rest))
    return rows


def _section(task: Task, result: SavedResult) -> Section:
    networks = PageTable(
        "Networks",
        ("network", "parameters", "training", "epochs"),
        [
            (name, model["parameters"], f"{model['seconds']:.0f} s", len(next(iter(model["history"].values()), ())))
            for name, model in result.values["models"].items()
        ],
    )
    tables = [PageTable(**table) for table in result.values["tables"]]
    return Section(task.name, inspect.cleandoc(task.module.__doc__), [*tables, networks], result.pictures)
