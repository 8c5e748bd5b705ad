"""Sources: from what a user names to the files it means, each with its tree.

Files are taken in the order in which they are named; those of a glob or folder in the natural order of their names,
``jets_2`` before ``jets_10``. Globs and folders are local; a URL names one file.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from hepnn.errors import DependencyError, SourceError

__all__ = [
    "SUFFIXES",
    "Location",
    "Source",
    "identity",
    "is_remote",
    "locate",
    "open_bytes",
    "options",
    "size_and_head",
]

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""``file.root``, ``file.root:tree``, a glob, a folder, a URL, or several of these."""

SUFFIXES = (".root", ".parquet", ".h5", ".hdf5", ".npz")
"""Files that are taken from a folder."""

TIMEOUT = 60.0
"""Seconds without an answer after which a server is given up."""

_N_END = 65_536
"""Bytes at either end of a file that are compared: what describes the data is there, with the date of writing in ROOT
files and the sums of all arrays in npz files."""

N_HEAD = 64
"""Bytes at the start of a file that say what it is."""

_WITH_TREE = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, SUFFIXES))})):(.+)", re.DOTALL)


class Location(NamedTuple):
    """One file, and the tree asked for in it, if any."""

    file: str
    tree: str | None


def is_remote(file: str) -> bool:
    """Returns whether it is a URL."""
    return "://" in file


def locate(source: Source) -> list[Location]:
    """Returns the files ``source`` means.

    Raises:
        SourceError: nothing named, no such file, or no file of a known format in a folder.
    """
    names = [source] if isinstance(source, str | os.PathLike) else list(source)
    locations = [location for name in names for location in _locate_one(os.fspath(name))]
    if not locations:
        raise SourceError("asked to read jets; found no file named. Name a ROOT file, a glob or a folder.")
    return locations


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns what to sort by for numbers in names to count as numbers."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]


def _locate_one(name: str) -> list[Location]:
    if name.startswith("file://"):
        name = name.removeprefix("file://")
    if is_remote(name):
        match = _WITH_TREE.fullmatch(name)
        return [Location(match[1], match[2]) if match else Location(name, None)]
    path = Path(name)
    if path.is_dir():
        # hidden files are unfinished ones, see hepnn.staging
        visible = (file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
        files = sorted(map(str, visible), key=_natural)
        if not files:
            raise SourceError(f"asked for the jets in the folder {name}; it holds no *{', *'.join(SUFFIXES)} file.")
        return [Location(file, None) for file in files]
    if path.is_file():
        return [Location(name, None)]
    file, wanted = _split_tree(name)
    if Path(file).is_file():
        return [Location(file, wanted)]
    found = glob.glob(file, recursive=True) if glob.has_magic(file) else []  # noqa: PTH207  # absolute ones too
    if not found:
        folder = Path(file).parent
        there = (other.name for other in folder.iterdir() if other.suffix in SUFFIXES) if folder.is_dir() else ()
        beside = ", ".join(sorted(there, key=_natural)[:5])
        raise SourceError(
            f"asked for {name}; there is no such file"
            + (f". In {folder} there is {beside}." if beside else f", and no *{', *'.join(SUFFIXES)} file in {folder}.")
        )
    return [Location(each, wanted) for each in sorted(found, key=_natural)]


def _split_tree(name: str) -> tuple[str, str | None]:
    """Returns file and tree of ``file:tree``; a colon elsewhere belongs to the file's name."""
    match = _WITH_TREE.fullmatch(name)
    if match:
        return match[1], match[2]
    head, colon, tree = name.rpartition(":")
    return (head, tree) if colon and Path(head).is_file() else (name, None)


def options(file: str) -> dict[str, Any]:
    """Returns what a file system is opened with, for `fsspec` and uproot: time-outs for servers.

    Raises:
        DependencyError: the package for this protocol is missing.
    """
    protocol = file.split("://")[0]
    if protocol in ("http", "https"):
        try:
            import aiohttp
        except ImportError as error:
            raise _missing(protocol, "aiohttp") from error
        limits = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
        return {"client_kwargs": {"timeout": limits}}
    if protocol in ("root", "xroot", "roots"):
        try:
            import fsspec_xrootd  # noqa: F401  # it only has to be there
        except ImportError as error:
            raise _missing(protocol, "fsspec-xrootd") from error
        return {"timeout": int(TIMEOUT)}
    return {}


def _missing(protocol: str, package: str) -> DependencyError:
    extra = "xrootd" if package == "fsspec-xrootd" else "http"
    return DependencyError(
        f"asked to read a {protocol}:// address; the package {package} is missing. Install it with "
        f"pip install 'hepnn[{extra}]'."
    )


def open_bytes(file: str) -> Any:
    """Returns the file opened for reading bytes; close it.

    Raises:
        SourceError: it cannot be opened, or the server does not answer.
        DependencyError: the package for this protocol is missing.
    """
    try:
        if not is_remote(file):
            return Path(file).open("rb")
        return fsspec.open(file, "rb", **options(file)).open()
    except DependencyError:
        raise
    except ImportError as error:
        raise DependencyError(f"asked to read {file}; a package is missing: {error}") from error
    except Exception as error:  # every protocol has errors of its own
        detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SourceError(f"asked to read {file}; {str(detail).splitlines()[0][:200]}.") from error


def identity(file: str) -> dict[str, Any]:
    """Returns what tells whether a file is the one it was: size, time of change if it is local, checksum of its ends.

    Raises:
        SourceError, DependencyError: as `open_bytes`.
    """
    with open_bytes(file) as stream:
        try:
            size = int(stream.seek(0, os.SEEK_END))
            ends = hashlib.sha256()
            for start in (0, max(size - _N_END, 0)):
                stream.seek(start)
                ends.update(stream.read(_N_END))
        except Exception as error:  # every protocol has errors of its own
            raise SourceError(f"asked to read {file}; {type(error).__name__}: {str(error)[:200]}.") from error
    changed = None if is_remote(file) else Path(file).stat().st_mtime_ns
    return {"file": file, "size": size, "changed": changed, "ends": ends.hexdigest()}


def size_and_head(file: str) -> tuple[int, bytes]:
    """Returns the size of a file and its first bytes.

    Raises:
        SourceError, DependencyError: as `open_bytes`.
    """
    with open_bytes(file) as stream:
        try:
            head = stream.read(N_HEAD)
            return int(stream.seek(0, os.SEEK_END)), head
        except Exception as error:  # every protocol has errors of its own
            raise SourceError(f"asked to read {file}; {type(error).__name__}: {str(error)[:200]}.") from error
