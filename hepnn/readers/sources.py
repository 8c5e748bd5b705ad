"""Sources: from what a user names to the files it means, each with its tree."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hepnn.errors import SourceError

__all__ = ["Location", "Source", "locate"]

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""``file.root``, ``file.root:tree``, a glob, a folder, or several of these."""

SUFFIX = ".root"


class Location(NamedTuple):
    """One file, and the tree asked for in it, if any."""

    file: str
    tree: str | None


def locate(source: Source) -> list[Location]:
    """Returns the files ``source`` means: as named, those of a glob or folder by name.

    Raises:
        SourceError: nothing named, no such file, or no ROOT file in a folder.
    """
    names = [source] if isinstance(source, str | os.PathLike) else list(source)
    locations = [location for name in names for location in _locate_one(os.fspath(name))]
    if not locations:
        raise SourceError("asked to read jets; found no file named. Name a ROOT file, a glob or a folder.")
    return locations


def _locate_one(name: str) -> list[Location]:
    path = Path(name)
    if path.is_dir():
        files = sorted(str(file) for file in path.glob(f"*{SUFFIX}"))
        if not files:
            raise SourceError(f"asked for the jets in the folder {name}; it holds no *{SUFFIX} file.")
        return [Location(file, None) for file in files]
    if path.is_file():
        return [Location(name, None)]
    head, colon, tree = name.rpartition(":")
    file, wanted = (head, tree) if colon and head.endswith(SUFFIX) else (name, None)
    if Path(file).is_file():
        return [Location(file, wanted)]
    found = sorted(glob.glob(file, recursive=True)) if glob.has_magic(file) else []  # noqa: PTH207  # absolute ones too
    if not found:
        folder = Path(file).parent
        beside = ", ".join(sorted(other.name for other in folder.glob(f"*{SUFFIX}"))[:5]) if folder.is_dir() else ""
        raise SourceError(
            f"asked for {name}; there is no such file"
            + (f". In {folder} there is {beside}." if beside else f", and no *{SUFFIX} file in {folder}.")
        )
    return [Location(each, wanted) for each in found]
