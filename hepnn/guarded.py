"""Guarded: files that hepnn wrote itself, read as if anybody could have written them.

Descriptions are JSON objects whose last entry is the checksum of all the text before it (`seal`, `unseal`), so that a
flipped bit anywhere in them is noticed. Arrays are npz files without Python objects, and no larger than the file says.
Whatever is wrong with a file is a ValueError or OSError, for the caller to say what was asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["arrays_in", "content_of", "parse_json", "printable", "seal", "sha256", "unseal"]

_KEY = '"checksum": '

_ZIP = b"PK\x03\x04"
"""First bytes of an npz file, which is a zip file: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and new line (with them a terminal can be told to do more than show text), and those that
turn the direction of writing: Unicode 16, chapters 23.1 and 23.2."""


def printable(text: str) -> str:
    r"""Returns a text with its control characters spelled out, safe to show in a terminal.

    >>> printable("quark\x1b[2J")
    'quark\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def sha256(content: bytes) -> str:
    """Returns the SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def content_of(path: Path) -> bytes:
    """Returns the bytes of a file.

    Raises:
        OSError: it is not there, cannot be read, does not fit into memory, or is no file: a device, say, has no end.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path.name} is no file")
    try:
        return path.read_bytes()
    except MemoryError as error:
        raise OSError(f"{path.name} does not fit into memory") from error


def parse_json(text: str | bytes) -> Any:
    """Returns what a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested so deep that no one can have meant it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def seal(text: str) -> str:
    """Returns a JSON object, given as text, with the checksum of that text as its last entry.

    >>> unseal(seal('{"jets": 3}').encode())["jets"]
    3
    """
    head = f"{text.rstrip().removesuffix('}').rstrip()},\n "
    return f'{head}{_KEY}"{sha256(head.encode())}"\n}}\n'


def unseal(content: bytes) -> dict[str, Any]:
    """Returns the JSON object that `seal` sealed.

    Raises:
        ValueError: it is no such object, or does not have its checksum.
    """
    head, _, tail = content.rpartition(_KEY.encode())
    if tail != f'"{sha256(head)}"\n}}\n'.encode():
        raise ValueError("it does not have its checksum: it is damaged or was changed")
    found = parse_json(content)
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not an object")
    return found


def arrays_in(file: Path | bytes, *, only: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays of an npz file by name, each compared with its checksum (CRC-32).

    Args:
        file: the file, or what is in it.
        only: names of those to read; all if None.

    Raises:
        ValueError: it is no npz file, damaged, holds Python objects, or more than its own size: hepnn does not compress.
        OSError: it cannot be read.
    """
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
            if opened.read(len(_ZIP)) != _ZIP:
                raise ValueError("it is no npz file")
            size = opened.seek(0, io.SEEK_END)
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as archive:
                if sum(member.file_size for member in archive.zip.infolist()) > size:
                    raise ValueError(f"its arrays are said to be larger than its {size} bytes")
                return {name: archive[name] for name in (archive.files if only is None else only)}
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise errors of many kinds, MemoryError among them
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error
