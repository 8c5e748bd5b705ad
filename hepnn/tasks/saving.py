"""Results on disk: a folder a task, with ``result.json``, its pictures as PNG files and its models as Keras files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import hepnn
from hepnn import plots
from hepnn.guarded import content_of, seal, unseal
from hepnn.staging import cannot_write, file_name, make_folder, staged_contents
from hepnn.tasks.task import Result, Task

__all__ = ["SavedResult", "load_result", "save_result", "task_folder"]

_RESULT = "result.json"


class SavedResult(NamedTuple):
    """A result as it is on disk.

    Attributes:
        values: what `hepnn.tasks.task.Result.to_dict` gave, and the version of hepnn.
        pictures: PNG files by the name of the figure.
    """

    values: dict[str, Any]
    pictures: dict[str, Path]


def task_folder(task: Task, folder: Path) -> Path:
    """Returns the task's own folder within ``folder``, made if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    own = folder / task.name
    make_folder(own)
    return own


def save_result(result: Result, folder: Path) -> SavedResult:
    """Returns the result as it is in the task's own folder within ``folder``; an earlier one there is replaced.

    ``result.json`` takes its place last, so a folder that has one is complete.

    Raises:
        OutputError: it cannot be written.
    """
    own = task_folder(result.task, folder)
    with staged_contents(own, last=_RESULT) as part:
        for name, figure in result.figures.items():
            plots.save(figure, part / f"{file_name(name)}.png")
        for name, fit in result.fits.items():
            fit.model.save(part / f"{file_name(name)}.keras")
        values = {**result.to_dict(), "pictures": list(result.figures), "hepnn": hepnn.__version__}
        (part / _RESULT).write_text(seal(json.dumps(values, indent=1)), encoding="utf-8")
        new = {file.name for file in part.iterdir()}
    for old in list(own.iterdir()):
        if old.suffix in (".json", ".png", ".keras") and old.name not in new and not old.name.startswith("."):
            try:
                old.unlink()
            except OSError as error:
                raise cannot_write(own, error) from error
    return SavedResult(values, {name: own / f"{file_name(name)}.png" for name in result.figures})


def load_result(task: Task, folder: Path, *, seed: int, quick: bool) -> SavedResult | None:
    """Returns the result of ``task`` in ``folder``; None if there is none of this seed, kind and version of hepnn."""
    path = folder / task.name / _RESULT
    try:
        values = unseal(content_of(path))
        found = (values["seed"], values["quick"], values["hepnn"])
        pictures = {name: path.with_name(f"{file_name(name)}.png") for name in values["pictures"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or what is there was not finished, is damaged or was changed
    if found != (seed, quick, hepnn.__version__) or not all(map(Path.exists, pictures.values())):
        return None
    return SavedResult(values, pictures)
