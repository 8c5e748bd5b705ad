"""The errors hepnn raises on purpose.

Every message says what was asked, what was found, where, and what to try. All derive from `HepnnError`, so a
script can catch whatever hepnn refuses with one ``except``; the command line turns them into one line on stderr
and the exit code of the class. The helper `closest` names near misses for messages.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ClusterError",
    "DependencyError",
    "FeatureError",
    "HepnnError",
    "HepnnWarning",
    "InputError",
    "OutputError",
    "SchemaError",
    "SourceError",
    "TaggerError",
    "closest",
]


class HepnnError(Exception):
    """Anything hepnn refuses; the base of all its errors."""

    exit_code = 2


class InputError(HepnnError, ValueError):
    """An argument, or the jets themselves, are not what the call needs."""


class SourceError(HepnnError, OSError):
    """A file cannot be found, opened, read, or is not what it should be."""

    exit_code = 3


class SchemaError(HepnnError, ValueError):
    """A schema is malformed, or does not fit the branches of a source."""

    exit_code = 4


class FeatureError(HepnnError, ValueError):
    """A feature is unknown, cannot be computed from these jets, or comes out NaN or infinite."""

    exit_code = 5


class TaggerError(HepnnError, ValueError):
    """A tagger is not fitted, its folder is damaged, or it does not fit the jets it is given."""

    exit_code = 6


class OutputError(HepnnError, OSError):
    """A result cannot be written, or would overwrite something."""

    exit_code = 7


class DependencyError(HepnnError, ImportError):
    """An optional package is missing; the message says which command installs it."""

    exit_code = 8


class ClusterError(HepnnError, RuntimeError):
    """Workers on other processors or machines cannot be reached, cannot take the work, or died of it."""

    exit_code = 11


class HepnnWarning(UserWarning):
    """Something works, but not as well as it could; the command line shows it as one line on stderr."""


def closest(name: str, known: Iterable[str], *, n: int = 3) -> str:
    """Returns the names most like ``name``, quoted and comma-separated, or all of them if none is near.

    >>> closest("jet_ptt", ["jet_pt", "jet_eta", "part_px"])
    "'jet_pt', 'jet_eta'"
    """
    names = sorted(map(str, known))
    near = difflib.get_close_matches(name, names, n=n) or names[:20]
    return ", ".join(map(repr, near)) or "nothing"
