"""ROOT files: checked before anything is read, then read branch by branch in steps of entries."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import uproot

from hepnn.errors import SourceError, closest

__all__ = ["Tree", "check_branches", "open_tree", "read_steps"]

_HEADER = struct.Struct(">4sii")
"""Magic bytes, version, position of the first record: https://root.cern/doc/master/classTFile.html."""
_LARGE_FILE_VERSION = 1_000_000
"""From this version on, positions have 8 bytes."""


class Tree(NamedTuple):
    """One checked tree.

    Attributes:
        file: path.
        name: of the tree.
        n_entries: rows.
        types: type of each branch, by name, as uproot reads it.
    """

    file: str
    name: str
    n_entries: int
    types: dict[str, str]


def _damaged(file: str, error: BaseException, what: str = "the file") -> SourceError:
    return SourceError(
        f"asked to read {file}; {what} is damaged or no ROOT file ({type(error).__name__}: "
        f"{(str(error).strip().splitlines() or ['no message'])[0][:200]}). Restore it, or leave it out."
    )


def _check_bytes(file: str) -> None:
    """Refuses what is no ROOT file, or one that was cut short: such a file can open, and lack entries."""
    try:
        size = Path(file).stat().st_size
        with Path(file).open("rb") as stream:
            head = stream.read(20)
    except OSError as error:
        raise SourceError(f"asked to read {file}; {error.strerror or error}.") from error
    if len(head) < 20 or head[:4] != b"root":
        raise SourceError(f"asked to read {file}; its first bytes are {head[:4]!r}, a ROOT file starts with b'root'.")
    _, version, _ = _HEADER.unpack(head[: _HEADER.size])
    end = struct.unpack(">q", head[12:20])[0] if version >= _LARGE_FILE_VERSION else struct.unpack(">i", head[12:16])[0]
    if size < end:
        raise SourceError(
            f"asked to read {file}; it has {size} bytes and should have {end}: the copy was cut short. Copy it again."
        )


def open_tree(file: str, *, tree: str | None, candidates: Iterable[str] = ()) -> Tree:
    """Returns the tree to read in ``file``, checked.

    Args:
        file: path.
        tree: its name; None for one of ``candidates``, or the only one there.
        candidates: names to try in turn.

    Raises:
        SourceError: no such tree, several to choose from, or the file is damaged.
    """
    _check_bytes(file)
    try:
        with uproot.open(file) as root:
            names = {
                key.partition(";")[0]: kind for key, kind in root.classnames().items() if kind in ("TTree", "TNtuple")
            }
            wanted = tree
            if wanted is None:
                wanted = next((name for name in candidates if name in names), None)
            if wanted is None and len(names) == 1:
                wanted = next(iter(names))
            if wanted is None or wanted not in names:
                found = ", ".join(names) or f"no tree, only {', '.join(root.keys(cycle=False)) or 'nothing'}"
                asked = f"the tree {tree!r}" if tree else "a tree of jets"
                raise SourceError(f"asked for {asked} in {file}; found {found}. Name one: {file}:TREE.")
            handle = root[wanted]
            types = {branch.name: str(branch.typename) for branch in handle.branches}
            return Tree(file, wanted, int(handle.num_entries), types)
    except SourceError:
        raise
    except Exception as error:  # a damaged file can raise anything in the parser
        raise _damaged(file, error) from error


def check_branches(tree: Tree, branches: Iterable[str], *, schema: str) -> None:
    """Refuses a tree that lacks one of ``branches``.

    Raises:
        SourceError: it does; the message names the branch and the closest one there.
    """
    for name in sorted(branches):
        if name not in tree.types:
            raise SourceError(
                f"the schema {schema!r} needs the branch {name!r}; it is not in {tree.file}:{tree.name}. Closest: "
                f"{closest(name, tree.types)}. Choose another schema, or name the branch in one of your own."
            )


def read_steps(
    tree: Tree, branches: Iterable[str], *, step: int, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, ak.Array]]]:
    """Yields first entry, last entry and the columns of each step; one step without entries for an empty tree.

    Args:
        tree: from `open_tree`.
        branches: exact names.
        step: entries at once.
        stop: read only so many entries.

    Raises:
        SourceError: a branch cannot be read; file, branch and entries are named.
    """
    end = tree.n_entries if stop is None else min(stop, tree.n_entries)
    names = sorted(branches)
    with uproot.open(tree.file) as root, ThreadPoolExecutor() as threads:
        handle = root[tree.name]
        for start in range(0, max(end, 1), step):
            last = min(start + step, end)
            columns = {}
            for name in names:
                try:
                    # by exact name: TTree.arrays evaluates aliases that are stored in the file
                    array = handle[name].array(entry_start=start, entry_stop=last, decompression_executor=threads)
                except Exception as error:  # a damaged basket can raise anything in the parser
                    raise _damaged(tree.file, error, f"branch {name!r}, entries {start} to {last},") from error
                if len(array) != last - start:
                    raise SourceError(
                        f"asked for entries {start} to {last} of branch {name!r} in {tree.file}; found {len(array)}."
                    )
                columns[name] = array
            yield start, last, columns
