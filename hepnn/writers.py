"""Scores to files: one row an input entry, in the order of the input.

`write_scores` writes what a tagger returned; `hepnn.tagging.tag` does the same in steps, for files of any size. The
tree can be read beside the original as a friend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak

from hepnn import defaults
from hepnn.errors import InputError
from hepnn.trees import TreeWriter

__all__ = ["score_columns", "write_scores"]


def score_columns(scores: ak.Array, *, prefix: str = defaults.SCORE_PREFIX) -> dict[str, Any]:
    """Returns the columns that hold ``scores`` in a file, ``<prefix><class>`` for each class.

    Args:
        scores: records with one field a class, (jet,) or nested, (event, jet).
        prefix: of the columns' names.

    Raises:
        InputError: not scores, or nested deeper than jets in events.
    """
    if not isinstance(scores, ak.Array) or not scores.fields or scores.ndim > 2:
        raise InputError(
            f"asked to write scores, records with one field a class; found "
            f"{str(getattr(scores, 'type', type(scores)))[:200]}. "
            "Pass what tagger(jets) returns."
        )
    return {
        f"{prefix}{name}": ak.to_numpy(scores[name]) if scores.ndim == 1 else scores[name] for name in scores.fields
    }


def write_scores(
    path: str | os.PathLike[str],
    scores: ak.Array,
    *,
    observers: Mapping[str, Any] | None = None,
    tree: str = defaults.SCORE_TREE,
    prefix: str = defaults.SCORE_PREFIX,
    overwrite: bool = False,
) -> Path:
    """Returns the ROOT file that ``scores`` were written to, a TTree with one entry a row.

    The file appears under its name only when it is complete and was read back.

    Args:
        path: the file to write.
        scores: records with one field a class, (jet,) or (event, jet).
        observers: further columns of the same length, by name.
        tree: name of the tree.
        prefix: of the branches' names.
        overwrite: replace an existing file.

    Raises:
        InputError: not scores.
        OutputError: the file exists, or cannot be written.

    >>> import tempfile
    >>> scores = ak.Array([{"quark": 0.9, "gluon": 0.1}, {"quark": 0.2, "gluon": 0.8}])
    >>> write_scores(tempfile.mkdtemp() + "/scores.root", scores).name
    'scores.root'
    """
    columns = {**score_columns(scores, prefix=prefix), **(observers or {})}
    with TreeWriter(path, tree=tree, overwrite=overwrite) as out:
        out.extend(columns)
    return Path(path)
