"""Tables of tasks and results for the terminal, and the page with all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table as RichTable

from hepnn.roc import Measured
from hepnn.tasks.task import Table, Task

__all__ = ["lesson_table", "result_table", "task_table"]


def task_table(tasks: Iterable[Task]) -> RichTable:
    """Returns a table with a row for each goal of each task."""
    table = RichTable("task", "what it teaches", "goal")
    for task in tasks:
        table.add_row(
            task.name, task.lesson, "\n".join(f"{goal.metric} {goal.bound(quick=False)}" for goal in task.goals)
        )
    return table


def result_table(results: Iterable[Mapping[str, Any]]) -> RichTable:
    """Returns a table with a row for each metric of each result, given as dictionaries."""
    table = RichTable("task", "metric", caption="± one standard deviation, statistical", caption_justify="left")
    for name in ("value", "target", "passed", "training", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        model = next(iter(result["models"].values()))
        for row, metric in enumerate(result["metrics"]):
            measured = Measured(metric["value"], metric["uncertainty"])
            table.add_row(
                "" if row else result["task"],
                metric["name"],
                str(measured),
                metric["bound"],
                "yes" if metric["passed"] else "no",
                "" if row else f"{result['training_seconds']:.0f} s",
                "" if row else f"{model['parameters']:,}",
            )
    return table


def lesson_table(table: Table) -> RichTable:
    """Returns a task's own table."""
    shown = RichTable(*table.columns, title=table.title, title_justify="left")
    for row in table.rows:
        shown.add_row(*(f"{entry:.4g}" if isinstance(entry, float) else str(entry) for entry in row))
    return shown
