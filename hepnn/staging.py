"""Staging: what is written goes under another name beside its target, and is moved into place when it is complete.

So a target is what it was or what it becomes, and nothing between, whatever ends the process. What is being written is
locked, and a lock ends with its process: that tells what a killed one left behind, which is removed when the same target
is written again, from what another process is writing just now, which is left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hepnn.errors import HepnnError, OutputError

__all__ = [
    "cannot_write",
    "check_folder",
    "file_name",
    "keep",
    "make_folder",
    "named",
    "part_of",
    "put_back",
    "refuse_existing",
    "remove_stale",
    "staged",
    "staged_contents",
    "staged_folder",
]

PART, KEPT, OLD = "part", "kept", "old"
"""What names of unfinished things say, of those that are to stay, and of a folder while another takes its place."""

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
"""Begins the token in a name that this machine writes under."""

_LONGEST = 180
"""Bytes of a target's name in the name that it is written under; file systems have room for 255 in all."""

_A_DAY = 86_400.0
"""Seconds without a write after which what another machine writes is left over: not every network file system lets one
machine see the locks of another."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says where there is no room."""

_AT_FDCWD, _SWAP = -2 if sys.platform == "darwin" else -100, 2
"""From <fcntl.h>; and RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS."""


def file_name(name: str) -> str:
    """Returns a name for a file that has what can be kept of ``name``, and stays in its folder whatever that is.

    >>> file_name("Hbb_efficiency_50"), file_name("../../thesis")
    ('Hbb_efficiency_50', '______thesis')
    """
    return "".join(letter if letter.isalnum() or letter in "-_+" else "_" for letter in name)


@contextlib.contextmanager
def staged(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields the name to write under; moves that file to ``path`` at the end, or removes it after an error.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is not set, or cannot be written.
    """
    target = Path(path)
    refuse_existing(target, overwrite=overwrite)
    with _reported(target), part_of(target) as part, _reported(target, part):
        yield part
        refuse_existing(target, overwrite=overwrite)  # again: it may have appeared in the meantime
        part.replace(target)


@contextlib.contextmanager
def staged_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new folder to fill; it takes the place of ``path`` at the end, or is removed after an error.

    A folder that was there is exchanged for the new one in one step. Where the file system cannot do that, there is
    none under its name for a moment, and what is killed just then is put right when ``path`` is written again.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is not set, or cannot be written.
    """
    target = Path(path).resolve() if Path(path).is_symlink() else named(path)
    with _reported(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        put_back(target)
    refuse_existing(target, overwrite=overwrite)
    with _reported(target), part_of(target, is_folder=True) as part, _reported(target, part):
        yield part
        refuse_existing(target, overwrite=overwrite)
        if not target.exists():
            part.replace(target)
        elif not _exchanged(part, target):
            _take_the_place(part, target)


@contextlib.contextmanager
def staged_contents(path: str | os.PathLike[str], *, last: str) -> Iterator[Path]:
    """Yields a new folder to fill; its files are moved into the folder ``path`` at the end, or removed after an error.

    What else is in that folder stays. For files that are complete only together: one after another takes its place
    within milliseconds, at the end the one that is called ``last``.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = Path(path)
    make_folder(folder)
    with _reported(folder), part_of(folder / last, is_folder=True) as part, _reported(folder, part):
        yield part
        files = [file for file in part.rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda file: file == part / last):
            place = folder / file.relative_to(part)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)


@contextlib.contextmanager
def part_of(target: Path, *, is_folder: bool = False) -> Iterator[Path]:
    """Yields an empty file, or folder, beside ``target`` that is this process's own; removes it at the end.

    What dead processes left when they wrote the same target is removed first.

    Raises:
        OSError: the file or folder cannot be made.
    """
    remove_stale(target.parent, target.name)
    with contextlib.ExitStack() as locks:
        part = None
        while part is None:
            made = _beside(target, PART)
            if is_folder:
                made.mkdir()
            else:
                made.touch(exist_ok=False)
            with contextlib.suppress(FileNotFoundError):  # somebody took it for left over before it was locked
                locks.enter_context(_locked(made))
                made.stat()
                part = made
        try:
            yield part
        finally:
            _remove(part)


def keep(part: Path, target: Path) -> Path:
    """Returns where a file from `part_of` is from now on, with a name that nothing removes."""
    return part.replace(_beside(target, KEPT))


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Removes what dead processes left in a folder: where they wrote ``name``, or whatever if it is None."""
    for part in _left(folder, name, PART):
        _remove(part)


def named(path: str | os.PathLike[str]) -> Path:
    """Returns the path, whole where it has no name of its own, such as ``.``."""
    return Path(path) if Path(path).name else Path(path).resolve()


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are not there.

    Raises:
        OutputError: it cannot be made.
    """
    with _reported(folder):
        folder.mkdir(parents=True, exist_ok=True)


def put_back(target: Path) -> None:
    """Puts the folder ``target`` back if it is not there because `staged_folder` was killed in the wrong moment."""
    with _reported(target):
        for old in _left(target.parent, target.name, OLD):
            if target.exists():
                _remove(old)
            else:
                old.replace(target)


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Refuses a target that is there, unless it may be overwritten.

    Raises:
        OutputError: it exists and ``overwrite`` is not set, or its name is none that there can be.
    """
    try:
        is_there = target.exists()
    except OSError as error:  # a name that is too long, say
        raise OutputError(f"asked to write {target}; {error.strerror or error}. Choose another name.") from error
    if is_there and not overwrite:
        raise OutputError(
            f"asked to write {target}, which exists already; choose another name, or overwrite it (overwrite=True, "
            "`--overwrite` on the command line)."
        )


def check_folder(folder: Path, *, marker: str, what: str, overwrite: bool) -> None:
    """Refuses a folder that cannot be written, or replaced, by `staged_folder`; an empty one can.

    Args:
        folder: the target.
        marker: a file that a folder of its kind has.
        what: what that kind is called.
        overwrite: it may be replaced.

    Raises:
        OutputError: it exists and ``overwrite`` is not set, or holds something else.
    """
    put_back(folder)
    refuse_existing(folder, overwrite=overwrite)
    if folder.exists() and not (folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))):
        raise OutputError(f"asked to overwrite {folder}, which holds something else than {what}. Choose another name.")


def cannot_write(target: Path, error: OSError, *, part: Path | None = None) -> OutputError:
    """Returns what to raise after ``error`` in writing ``target``; if the disk is full, with how much is free.

    Args:
        target: what was asked for.
        error: what the system said.
        part: what was written under in the meantime, for how much that was.
    """
    said = error.strerror or str(error)
    if error.errno not in _FULL:
        hint = (
            "Choose a shorter name"
            if error.errno == errno.ENAMETOOLONG
            else "Check the folder, its permissions and free space"
        )
        return OutputError(f"asked to write {target}; {said}. {hint}.")
    folder = next(each for each in target.absolute().parents if each.exists())
    written = "" if part is None else f" after {_megabytes(_size(part))}"
    return OutputError(
        f"asked to write {target}; the disk is full{written}: {said}. {_megabytes(shutil.disk_usage(folder).free)} are free "
        f"in {folder}. What was there before is unchanged: make room, and start again, or write elsewhere."
    )


@contextlib.contextmanager
def _reported(target: Path, part: Path | None = None) -> Iterator[None]:
    """Turns the system's errors into ours."""
    try:
        yield
    except HepnnError:  # some are the system's too
        raise
    except OSError as error:
        raise cannot_write(target, error, part=part) from error


def _beside(target: Path, what: str) -> Path:
    """A name beside ``target`` that nothing else has; it is hidden, and ends as the target's."""
    return target.with_name(f".{_shortened(target.name)}.{_HOST}{secrets.token_hex(4)}.{what}{target.suffix}")


def _shortened(name: str) -> str:
    """The name, or where it would leave no room for what is added, its beginning and a checksum."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    return f"{os.fsdecode(encoded[: _LONGEST - 16])}{hashlib.sha256(encoded).hexdigest()[:16]}"


def _left(folder: Path, name: str | None, what: str) -> Iterator[Path]:
    """What is under such names in a folder, and nobody's; each is locked while it is looked at."""
    of = ".+" if name is None else re.escape(_shortened(name))
    pattern = re.compile(rf"\.{of}\.([0-9a-f]{{8}})[0-9a-f]{{8}}\.{what}(\.[^.]*)?")
    try:
        there = [path.name for path in folder.iterdir()]
    except OSError:  # no such folder, or none that may be read: who writes will say so
        return
    for found in filter(None, map(pattern.fullmatch, there)):
        part = folder / found[0]
        with contextlib.suppress(OSError), _locked(part, wait=False) as is_ours:
            if is_ours is False:
                continue
            is_dead = is_ours and found[1] == _HOST
            if is_dead or (is_ours is None and what == OLD) or time.time() - part.stat().st_mtime > _A_DAY:
                yield part


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[bool | None]:
    """Holds the lock of a file or folder; yields whether it does, or None where the file system has no such locks."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # NFS locks what can be written
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            is_ours: bool | None = True
        except BlockingIOError:
            is_ours = False
        except OSError:  # folders on NFS, which locks only what can be written
            is_ours = None
        yield is_ours
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Swaps two names in one step; returns whether the system and the file system could."""
    name = "renameatx_np" if sys.platform == "darwin" else "renameat2"
    swap = getattr(ctypes.CDLL(None), name, None)
    return swap is not None and swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _SWAP) == 0


def _take_the_place(part: Path, target: Path) -> None:
    """Moves one folder to where another is, in two steps."""
    old = _beside(target, OLD)
    with _locked(target):
        try:
            target.replace(old)
            part.replace(target)
        finally:
            if not target.exists():
                old.replace(target)
        _remove(old)


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.3g} MB"
