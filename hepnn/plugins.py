"""Plug-ins: schemas, features, networks and tasks that other packages add by being installed.

A package names them as entry points, in its ``pyproject.toml``:

    [project.entry-points."hepnn.schemas"]
    my-experiment = "my_package:SCHEMA"          # a hepnn.Schema, or the path of a TOML file
    [project.entry-points."hepnn.features"]
    log_kt = "my_package.features:log_kt"        # a hepnn.features.Feature, or a function
    [project.entry-points."hepnn.models"]
    my-network = "my_package.networks:network"   # (inputs, n_classes, **options) -> keras.Model
    [project.entry-points."hepnn.tasks"]
    my-task = "my_package.tasks:TASK"            # a hepnn.tasks.Task that says where its function run is

and they go by those names wherever hepnn's own do, which come first. Nothing of a package is imported before something
of it is asked for, but for schemas, which are looked through when one is to be found for a file. One that cannot be
imported is named with its package, and the others go on working.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from hepnn.errors import DependencyError

__all__ = ["KINDS", "Plugin", "check_plugins", "find_plugin", "plugin_names"]

KINDS = ("schemas", "features", "models", "tasks")
"""What can be added; the group of the entry points is ``hepnn.`` and the kind."""


class Plugin(NamedTuple):
    """Something that another package adds.

    Attributes:
        kind: one of `KINDS`.
        name: what it goes by.
        path: ``module:object``.
        package: the distribution that it is in, with its version.
        problem: why it cannot be used, or "".
    """

    kind: str
    name: str
    path: str
    package: str
    problem: str = ""


@functools.cache
def _found(kind: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """The entry points of a kind by name, for a path that Python looks for packages in."""
    return {point.name: point for point in sorted(entry_points(group=f"hepnn.{kind}"), key=_package)}


def _points(kind: str) -> dict[str, EntryPoint]:
    return _found(kind, tuple(sys.path))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def plugin_names(kind: str) -> tuple[str, ...]:
    """Returns the names that installed packages add to a kind, of which nothing is imported."""
    return tuple(_points(kind))


def find_plugin(kind: str, name: str) -> Any:
    """Returns what a package adds by this name, imported; None if no package does.

    Raises:
        DependencyError: it cannot be imported; plug-in and package are named.
    """
    point = _points(kind).get(name)
    if point is None:
        return None
    try:
        return point.load()
    except Exception as error:  # a package of others can raise anything
        raise DependencyError(
            f"asked for {name!r} of {kind}, which the package {_package(point)} adds; {point.value} cannot be imported "
            f"({type(error).__name__}: {error}). Update the package, or remove it."
        ) from error


def check_plugins() -> Iterator[Plugin]:
    """Yields every plug-in, each imported to see whether it can be."""
    for kind in KINDS:
        for name, point in _points(kind).items():
            problem = ""
            try:
                find_plugin(kind, name)
            except DependencyError as error:
                problem = str(error)
            yield Plugin(kind, name, point.value, _package(point), problem)
