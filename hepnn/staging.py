"""Staging: a file is written under another name beside its target, and moved into place when it is complete."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hepnn.errors import OutputError

__all__ = ["file_name", "part_of", "refuse_existing", "staged"]


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
    part = part_of(target)
    try:
        yield part
        refuse_existing(target, overwrite=overwrite)  # again: it may have appeared in the meantime
        part.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"asked to write {target}; {error.strerror or error}. Check the folder, its permissions and free space."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def part_of(target: Path) -> Path:
    """Returns a name beside ``target`` to write under, which nothing else has."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part{target.suffix}")


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
