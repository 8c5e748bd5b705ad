"""``hepnn task list | run | report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hepnn import defaults
from hepnn.cli.options import json_option

__all__ = ["task"]

_MISSED = 10
"""Exit code of a run in which a task missed a target."""


@click.group()
def task() -> None:
    """Run the benchmark tasks of a course on convolutional and recurrent networks."""


@task.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the tasks, what each teaches, and its targets.

    Example: hepnn task list
    """
    from hepnn.report import print_result
    from hepnn.tasks import TASKS
    from hepnn.tasks.report import task_table

    if as_json:
        click.echo(json.dumps([each.to_dict() for each in TASKS.values()]))
    else:
        print_result(task_table(TASKS.values()))


@task.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAMES...")
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of data, initial weights and training.")
@click.option("--quick", is_flag=True, help="Train on little, in seconds; the targets are lower then.")
@click.option("-o", "--output", metavar="FOLDER", help="Keep results, pictures and Keras models there.")
@json_option
def run_command(names: tuple[str, ...], seed: int, quick: bool, output: str | None, as_json: bool) -> None:
    """Run tasks, `all` for all of them, and show what they reached.

    A result that is in the folder already is replaced. Exit code 10 if a target was missed.

    Example: hepnn task run shapes-count vectors-longest -o tasks/
    """
    from hepnn.report import print_result
    from hepnn.tasks import TASKS, find_task
    from hepnn.tasks.report import lesson_table, result_table
    from hepnn.tasks.saving import save_result

    tasks = list(TASKS.values()) if names == ("all",) else [find_task(name) for name in names]
    results = []
    for each in tasks:
        results.append(_run(each, seed=seed, quick=quick, output=output))
        if output is not None:
            save_result(results[-1], Path(output))
    if as_json:
        click.echo(json.dumps([result.to_dict() for result in results]))
    else:
        for result in results:
            for table in result.tables:
                print_result(lesson_table(table))
        print_result(result_table([result.to_dict() for result in results]))
    if not all(result.passed for result in results):
        raise click.exceptions.Exit(_MISSED)


@task.command("report")
@click.option(
    "-o", "--output", default="hepnn-tasks", show_default=True, metavar="FOLDER", help="Of results and report."
)
@click.option("--seed", default=defaults.SEED, show_default=True, help="Of data, initial weights and training.")
@click.option("--quick", is_flag=True, help="Train on little, in seconds; the targets are lower then.")
def report_command(output: str, seed: int, quick: bool) -> None:
    """Write one HTML page with all tasks, FOLDER/report.html; it works offline.

    Results of the same seed that are in the folder already are taken as they are, all others made first, which takes
    about half an hour; with --quick about three minutes.

    Example: hepnn task report -o tasks/
    """
    from hepnn.tasks import TASKS
    from hepnn.tasks.report import write_report
    from hepnn.tasks.saving import load_result, save_result

    folder = Path(output)
    results = {
        each: load_result(each, folder, seed=seed, quick=quick)
        or save_result(_run(each, seed=seed, quick=quick, output=output), folder)
        for each in TASKS.values()
    }
    click.echo(write_report(results, folder / "report.html"))


def _run(each: Any, *, seed: int, quick: bool, output: str | None) -> Any:
    """Runs a task, telling how it goes; refuses a folder that cannot be written to before, not after minutes of training."""
    from hepnn.progress import load_tensorflow, say
    from hepnn.tasks.saving import task_folder

    if output is not None:
        task_folder(each, Path(output))

    say(f"{each.name}: {each.lesson}")
    load_tensorflow()
    return each.run(seed=seed, quick=quick, report=say)
