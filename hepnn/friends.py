"""Friends: scores that another program wrote, beside the jets, row by row, so that hepnn can judge its tagger too.

`read_friend` takes ``file.root:branch``: a branch of another file with one row for each entry of the jets' files, in
order. A branch of the jets' own files is named without a file. ``score_*`` stands for one branch a class
(``score_top``, ``score_QCD`` …), whose names are the classes'; a branch without a star is one score, high for signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults
from hepnn.errors import InputError, closest
from hepnn.readers import JetChunk
from hepnn.readers.formats import open_table, read_steps
from hepnn.readers.sources import SUFFIXES, locate

__all__ = ["Friend", "Rating", "branches_for", "parse_friend", "rate", "read_friend"]

_STEP = 200_000
"""Rows of a friend read at once."""

_FILE = re.compile(rf"(.*(?:{'|'.join(map(re.escape, SUFFIXES))}|/)(?::[^:]+)?):([^:]+)", re.DOTALL)
"""A file, perhaps with its tree, and a branch."""


class Rating(NamedTuple):
    """What a tagger says of jets.

    Attributes:
        classes: names of the columns; empty for a single score, high for signal.
        values: probabilities (jet, class), or scores (jet,).
    """

    classes: tuple[str, ...]
    values: npt.NDArray[Any]


class Friend(NamedTuple):
    """Scores beside jets.

    Attributes:
        name: of the tagger.
        place: file of the scores; empty for the jets' own files.
        branch: name of the branch, with a star for the class's name.
        columns: by branch, (row,) or (row, *); empty where they are in the jets' own files.
    """

    name: str
    place: str
    branch: str
    columns: Mapping[str, Any]


def parse_friend(text: str) -> Friend:
    """Returns what ``[NAME=][FILE[:TREE]:]BRANCH`` names, with nothing read yet.

    >>> parse_friend("ParticleNet=pn.root:prob_*")[:3]
    ('ParticleNet', 'pn.root', 'prob_*')
    >>> parse_friend("jet_btag")[:3]
    ('jet_btag', '', 'jet_btag')
    """
    name, equals, rest = text.partition("=")
    if not equals:
        name, rest = text, text
    match = _FILE.fullmatch(rest)
    place, branch = (match[1], match[2]) if match else ("", rest)
    if not (name and branch) or branch.count("*") > 1 or any(branch.endswith(suffix) for suffix in SUFFIXES):
        raise InputError(
            f"asked for the scores {text!r}; write FILE:BRANCH or BRANCH, with NAME= before it if you like. score_* means "
            "one branch for each class."
        )
    return Friend(name, place, branch, {})


def branches_for(friend: Friend, there: Iterable[str], *, classes: Sequence[str]) -> dict[str, str]:
    """Returns the branch of each class that has one, or the one branch under the name "".

    Raises:
        InputError: no such branch.
    """
    names = set(there)
    wanted = {name: friend.branch.replace("*", name) for name in (classes if "*" in friend.branch else [""])}
    found = {name: branch for name, branch in wanted.items() if branch in names}
    if len(found) < (2 if "*" in friend.branch else 1):
        asked = next(iter(wanted.values()), friend.branch)
        raise InputError(
            f"asked for the scores {friend.branch!r} in {friend.place or 'the files of the jets'}"
            + (f", for the classes {', '.join(classes)}" if "*" in friend.branch else "")
            + f"; found {', '.join(found.values()) or 'no such branch'}. Closest to {asked!r}: {closest(asked, names)}."
        )
    return found


def read_friend(friend: Friend, *, classes: Sequence[str], n_rows: int) -> Friend:
    """Returns the friend with its columns, if it is in files of its own.

    Args:
        friend: what `parse_friend` made.
        classes: names that the branches of a star can have.
        n_rows: entries of the jets' files.

    Raises:
        SourceError: a file is missing or damaged.
        InputError: no such branch, or another number of rows.
    """
    if not friend.place:
        return friend
    tables = [
        open_table(at.file, tree=at.tree, candidates=(defaults.SCORE_TREE, "Events", "tree"))
        for at in locate(friend.place)
    ]
    found = sum(table.n_entries for table in tables)
    if found != n_rows:
        raise InputError(
            f"asked for the scores {friend.branch!r} in {friend.place}, which has {found} rows; the files of the jets have "
            f"{n_rows} entries. Scores belong to jets by their row: give the file that was written for just these jets, and "
            "all of its jets, in its order."
        )
    branches = list(branches_for(friend, tables[0].types, classes=classes).values())
    parts = [columns for table in tables for _, _, columns in read_steps(table, branches, step=_STEP)]
    return friend._replace(columns={name: ak.concatenate([part[name] for part in parts]) for name in branches})


def rate(friend: Friend, chunk: JetChunk, *, start: int, classes: Sequence[str]) -> Rating:
    """Returns what the friend says of the jets of one chunk.

    Args:
        friend: with its columns.
        chunk: where the jets come from; and the jets, which only a friend in their own files needs.
        start: entries of all files before this chunk.
        classes: names that the branches of a star can have.

    Raises:
        InputError: no such branch, not one score a jet, or one that is not finite.
    """
    branches = branches_for(friend, friend.columns or chunk.jets.fields, classes=classes)
    values = [_of_jets(friend, branch, chunk, start) for branch in branches.values()]
    if "*" in friend.branch:
        return Rating(tuple(branches), np.stack(values, axis=1))
    return Rating((), values[0])


def _of_jets(friend: Friend, branch: str, chunk: JetChunk, start: int) -> npt.NDArray[np.float64]:
    if not friend.columns:
        return np.ma.filled(ak.to_numpy(chunk.jets[branch]).astype(np.float64), np.nan)
    rows = friend.columns[branch][start : start + chunk.stop - chunk.start]
    if chunk.counts is not None:
        found = ak.to_numpy(ak.num(rows)) if rows.ndim == 2 else np.ones(len(rows), np.int64)
        if (found != chunk.counts).any():
            at = int((found != chunk.counts).argmax())
            raise InputError(
                f"asked for one score a jet; in row {start + at} of {friend.place}, {branch!r} has {found[at]} scores, and "
                f"the event {chunk.counts[at]} jets ({chunk.file}, entry {chunk.start + at}). Give the scores of just these "
                "jets."
            )
        rows = ak.flatten(rows) if rows.ndim == 2 else rows
    if rows.ndim != 1:
        raise InputError(
            f"asked for one score a jet; {branch!r} in {friend.place} holds lists: {str(rows.type)[:120]}."
        )
    values = np.ma.filled(np.ma.asarray(ak.to_numpy(rows)).astype(np.float64), np.nan)
    return values if chunk.selected is None else values[chunk.selected]
