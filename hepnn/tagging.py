"""Tagging: a source and a tagger in, a file of scores aligned with the source out; or labels and scores to judge.

Files are read in steps, so memory does not grow with them. `tag` is the Python face of ``hepnn tag``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.errors import InputError, OutputError
from hepnn.jets import labels_of
from hepnn.readers import iterate_chunks, iterate_jets
from hepnn.schema import Schema
from hepnn.trees import TreeWriter
from hepnn.writers import score_columns

__all__ = ["Scored", "Tagged", "score", "tag"]


class Tagged(NamedTuple):
    """What `tag` wrote.

    Attributes:
        path: the file.
        n_entries: rows, as many as entries in the source.
        n_jets: jets scored.
    """

    path: Path
    n_entries: int
    n_jets: int


class Scored(NamedTuple):
    """Jets with truth and scores.

    Attributes:
        labels: (jet,) class names.
        probabilities: (jet, class).
        columns: further columns by name, (jet,).
    """

    labels: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float32]
    columns: dict[str, npt.NDArray[Any]]


def _schema_for(tagger: Any, schema: str | Path | Schema | None) -> str | Path | Schema:
    if schema is not None:
        return schema
    return tagger.read_schema() or "auto"


def tag(
    source: str | Path | Sequence[str | Path],
    tagger: Any,
    output: str | os.PathLike[str],
    *,
    schema: str | Path | Schema | None = None,
    input_tree: str | None = None,
    tree: str = defaults.SCORE_TREE,
    prefix: str = defaults.SCORE_PREFIX,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Tagged:
    """Writes the scores of all jets in ``source`` to one ROOT file and returns what was written.

    One entry of the source is one row of the output, in order: a number a class where an entry is a jet, a list of
    numbers where an entry is an event.

    Args:
        source: what `hepnn.read_jets` takes.
        tagger: a trained `hepnn.Tagger`.
        output: the ROOT file to write.
        schema: how the files spell jets; that of the tagger if None.
        input_tree: the tree to read, where a file has several.
        tree: name of the tree to write.
        prefix: of the branches' names, followed by the class.
        overwrite: replace an existing file.
        progress: called with the number of jets done.

    Raises:
        SourceError, SchemaError: the source cannot be read.
        FeatureError: the jets lack what the tagger looks at.
        OutputError: the file exists or cannot be written.
    """
    n_entries = n_jets = 0
    with TreeWriter(output, tree=tree, overwrite=overwrite) as out:
        for chunk in iterate_chunks(source, schema=_schema_for(tagger, schema), tree=input_tree):
            scores = tagger(chunk.jets)
            if chunk.counts is not None:
                scores = ak.unflatten(scores, chunk.counts)
            if len(scores) != chunk.stop - chunk.start:
                raise OutputError(
                    f"asked for one row for each of the entries {chunk.start} to {chunk.stop} of {chunk.file}; found "
                    f"{len(scores)} rows. This is a fault in hepnn: please report it with this message."
                )
            out.extend(score_columns(scores, prefix=prefix))
            n_entries += len(scores)
            n_jets += len(chunk.jets)
            if progress is not None:
                progress(n_jets)
    return Tagged(Path(output), n_entries, n_jets)


def score(
    source: str | Path | Sequence[str | Path],
    tagger: Any,
    *,
    schema: str | Path | Schema | None = None,
    input_tree: str | None = None,
    columns: Sequence[str] = (),
    max_jets: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Returns truth and scores of the jets in ``source``, in order, to judge a tagger by.

    Args:
        source: what `hepnn.read_jets` takes.
        tagger: a trained `hepnn.Tagger`.
        schema: how the files spell jets; that of the tagger if None.
        input_tree: the tree to read, where a file has several.
        columns: fields of the jets to return as well, such as a weight or ``pt``.
        max_jets: stop after so many.
        progress: called with the number of jets done.

    Raises:
        InputError: the source has no labels, no such column, or no jets.
        SourceError, SchemaError, FeatureError: as in `tag`.
    """
    labels, probabilities, kept = [], [], []
    for jets in iterate_jets(source, schema=_schema_for(tagger, schema), tree=input_tree, max_jets=max_jets):
        for name in columns:
            if name not in jets.fields:
                raise InputError(
                    f"asked for the column {name!r} of the jets; found only {', '.join(jets.fields)}. "
                    "Name it among the observers in the schema."
                )
        labels.append(labels_of(jets))
        probabilities.append(tagger.predict_proba(jets))
        kept.append({name: ak.to_numpy(jets[name]) for name in columns})
        if progress is not None:
            progress(sum(map(len, labels)))
    if not sum(map(len, labels)):
        raise InputError(f"asked to judge a tagger on the jets of {source}; found none. Name files that hold jets.")
    return Scored(
        np.concatenate(labels),
        np.concatenate(probabilities),
        {name: np.concatenate([part[name] for part in kept]) for name in columns},
    )
