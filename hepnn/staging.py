"""Staging: a file is written under another name beside its target, and moved into place when it is complete."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from hepnn.errors import OutputError

__all__ = ["part_of", "refuse_existing", "staged"]


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
        OutputError: it exists and ``overwrite`` is not set.
    """
    if target.exists() and not overwrite:
        raise OutputError(
            f"asked to write {target}, which exists already; choose another name, or overwrite it (overwrite=True, "
            "`--overwrite` on the command line)."
        )
