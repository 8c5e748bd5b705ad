"""Tables: what is known of one file before it is read, and how damage in one is reported.

A `Table` is a TTree, an RNTuple, a Parquet file, a group of HDF5 data sets or an npz file: columns with one row an
entry. Each format's module makes one with ``open_table`` and reads it with ``read_steps``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from hepnn.errors import DependencyError, SourceError, closest

__all__ = [
    "Details",
    "Table",
    "check_branches",
    "check_features",
    "choose_tree",
    "column_names",
    "damaged",
    "parsing",
    "slots",
]


_MOST_FEATURES = 10_000
"""Columns of an array of three axes: those in use have some ten. One without rows can claim any number of them."""


def check_features(name: str, shape: Sequence[int]) -> None:
    """Refuses an array of three axes with more features than any has.

    Args:
        name: of the array.
        shape: (row, particle, feature), or of fewer axes.

    Raises:
        ValueError: it has.
    """
    if len(shape) == 3 and shape[2] > _MOST_FEATURES:
        raise ValueError(f"{name!r} has the shape {tuple(shape)}, more than {_MOST_FEATURES} features")


class Table(NamedTuple):
    """One checked table.

    Attributes:
        file: path or URL.
        name: of the tree, ntuple or group; empty where a file is one table.
        n_entries: rows.
        types: type of each branch, by name.
        format: ``ttree``, ``rntuple``, ``parquet``, ``hdf5`` or ``npz``.
    """

    file: str
    name: str
    n_entries: int
    types: Mapping[str, str]
    format: str

    @property
    def place(self) -> str:
        """The file and the table in it, for messages."""
        return f"{self.file}:{self.name}" if self.name else self.file


class Details(NamedTuple):
    """What a look into a file finds beside the table that is read.

    Attributes:
        tables: all tables in the file, name to number of entries.
        compression: what it is compressed with.
        checksum: what lets a reader notice damage, in words.
    """

    tables: dict[str, int]
    compression: str
    checksum: str


def damaged(file: str, error: BaseException, what: str = "the file") -> SourceError:
    """Returns the error for something that a parser stumbled over."""
    first_line = (str(error).strip().splitlines() or ["no message"])[0][:200]
    return SourceError(
        f"asked to read {file}; {what} is damaged or not of this format ({type(error).__name__}: {first_line}). "
        "Restore it, or leave it out."
    )


@contextmanager
def parsing(file: str) -> Iterator[None]:
    """Turns whatever the parser of a damaged file raises within the block, which can be anything, into a `SourceError`."""
    try:
        yield
    except (SourceError, DependencyError, GeneratorExit):
        raise
    except Exception as error:
        raise damaged(file, error) from error


def choose_tree(file: str, names: Iterable[str], *, tree: str | None, candidates: Iterable[str], beside: str) -> str:
    """Returns the table to read: the one asked for, else the first candidate there is, else the only one.

    Args:
        file: path, for the message.
        names: of the tables there.
        tree: the one asked for, if any.
        candidates: names to try in turn.
        beside: what else is in the file, for the message.

    Raises:
        SourceError: no such table, or several to choose from.
    """
    there = list(names)
    wanted = tree
    if wanted is None:
        wanted = next((name for name in candidates if name in there), None)
    if wanted is None and len(there) == 1:
        wanted = there[0]
    if wanted is None or wanted not in there:
        found = ", ".join(there) or f"no tree, only {beside or 'nothing'}"
        asked = f"the tree {tree!r}" if tree else "a tree of jets"
        raise SourceError(f"asked for {asked} in {file}; found {found}. Name one: {file}:TREE.")
    return wanted


def check_branches(table: Table, branches: Iterable[str], *, schema: str) -> None:
    """Refuses a table that lacks one of ``branches``.

    Raises:
        SourceError: it does; the message names the branch and the closest one there.
    """
    names = column_names(table.types)
    for name in sorted(branches):
        if name not in names:
            raise SourceError(
                f"the schema {schema!r} needs the branch {name!r}; it is not in {table.place}. Closest: "
                f"{closest(name, table.types)}. Choose another schema, or name the branch in one of your own."
            )


def slots(pattern: str, names: Iterable[str]) -> list[str]:
    """Returns the columns that ``E_*`` means: ``E_0``, ``E_1``, … as far as they go without a gap, in order.

    >>> slots("E_*", ["E_1", "E_0", "E_3", "PX_0"])
    ['E_0', 'E_1']
    """
    head, _, tail = pattern.partition("*")
    there = set(names)
    found: list[str] = []
    while (name := f"{head}{len(found)}{tail}") in there:
        found.append(name)
    return found


def column_names(names: Iterable[str]) -> frozenset[str]:
    """Returns the names and, for those that are numbered from 0 on, their pattern.

    >>> sorted(column_names(["E_0", "E_1", "label"]))
    ['E_*', 'E_0', 'E_1', 'label']
    """
    there = frozenset(names)
    numbered = (re.match(r"(.*\D|)0(\D*)$", name) for name in there)
    patterns = {f"{match[1]}*{match[2]}" for match in numbered if match and f"{match[1]}1{match[2]}" in there}
    return there | patterns
