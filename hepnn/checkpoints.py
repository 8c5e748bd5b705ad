"""Checkpoints: the state of a training after its last whole epoch, in one npz file, to go on from.

The file holds arrays and JSON, and nothing that runs. It is replaced in one step, so that whatever ends a training, even
while it writes this file, leaves the state of one epoch or of the next. It goes with one training: what was asked for,
on which jets, with which version of hepnn is in it, and `load_checkpoint` refuses everything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import TaggerError
from hepnn.guarded import arrays_in, parse_json
from hepnn.staging import staged

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_ABOUT, _FINGERPRINT = "about", "fingerprint"


class Checkpoint(NamedTuple):
    """The state of a training.

    Attributes:
        about: what JSON can hold, by name.
        arrays: lists of arrays by name.
    """

    about: dict[str, Any]
    arrays: dict[str, list[npt.NDArray[Any]]]


def save_checkpoint(checkpoint: Checkpoint, path: Path, *, fingerprint: Mapping[str, str]) -> None:
    """Writes a state to ``path``, in the place of an earlier one.

    Args:
        checkpoint: the state.
        path: the file.
        fingerprint: what has to be the same to go on from it, as texts by name.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps({**checkpoint.about, _FINGERPRINT: dict(fingerprint)})
    content: dict[str, Any] = {
        f"{name}_{i}": array for name, group in checkpoint.arrays.items() for i, array in enumerate(group)
    }
    content[_ABOUT] = np.array(text)
    with staged(path, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, **content)


def load_checkpoint(path: Path, *, fingerprint: Mapping[str, str], names: Sequence[str]) -> Checkpoint | None:
    """Returns the state in ``path``, or None if there is no such file.

    Args:
        path: the file.
        fingerprint: as for `save_checkpoint`.
        names: of the lists of arrays.

    Raises:
        TaggerError: the file is damaged, or the state of another training.
    """
    try:
        saved = arrays_in(path)
        about = parse_json(str(saved[_ABOUT]))
        before = dict(about.pop(_FINGERPRINT))
        arrays = {
            name: [saved[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in saved))]
            for name in names
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TaggerError(
            f"asked to go on from {path}; it cannot be read ({type(error).__name__}: {error}). Remove it to start afresh."
        ) from error
    for name in sorted(before.keys() | fingerprint.keys()):
        was, now = before.get(name), fingerprint.get(name)
        if was != now:
            raise TaggerError(
                f"asked to go on from {path}; that training had {name} = {str(was)[:200]}, this one has "
                f"{str(now)[:200]}. Use what it was started with, or remove the file to start afresh."
            )
    return Checkpoint(about, arrays)
