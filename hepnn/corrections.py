"""Corrections: a working point as a file for correctionlib, which analyses of CMS and others read thresholds from.

The file has two corrections: ``NAME_threshold`` gives the threshold, ``NAME_efficiency`` the share of a class that
passes, with its error. It is JSON in the schema of correctionlib 2 (https://cms-nanoaod.github.io/correctionlib), written
without that package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepnn.errors import InputError
from hepnn.staging import staged
from hepnn.working_points import Efficiencies, WorkingPoint

__all__ = ["write_corrections"]

_SCHEMA_VERSION = 2


def write_corrections(
    point: WorkingPoint,
    path: str | os.PathLike[str],
    *,
    measured: Mapping[str, Efficiencies],
    column: str,
    overwrite: bool = False,
) -> Path:
    """Returns the file that thresholds and efficiencies were written to.

    ``NAME_threshold`` takes the working point's column, or nothing; ``NAME_efficiency`` takes ``class``, ``column`` and
    ``which``: "nominal", "up" or "down" by one standard deviation, kept between 0 and 1. Jets beyond the outermost edges
    have the values there.

    Args:
        point: the working point.
        path: of the file.
        measured: what passes, by class.
        column: what it was measured against.
        overwrite: replace an existing file.

    Raises:
        InputError: a bin has no jets, so no efficiency.
        OutputError: the file exists and ``overwrite`` is not set, or cannot be written.
    """
    for name, found in measured.items():
        if not np.isfinite(found.value).all():
            at = int((~np.isfinite(found.value)).argmax())
            raise InputError(
                f"asked for the efficiency of {name} from {found.edges[at]:g} to {found.edges[at + 1]:g} in {column}; no jet "
                "of the class is there. Take wider bins."
            )
    threshold = {
        "name": f"{point.name}_threshold",
        "description": f"least score of {point.signal} that passes: {point.kind} {point.value:g}",
        "version": 1,
        "inputs": [] if point.column is None else [{"name": point.column, "type": "real"}],
        "output": {"name": "threshold", "type": "real"},
        "data": point.thresholds[0]
        if point.column is None
        else _binned(point.column, list(point.edges), list(point.thresholds)),
    }
    efficiency = {
        "name": f"{point.name}_efficiency",
        "description": "share of jets of a class that passes",
        "version": 1,
        "inputs": [
            {"name": "class", "type": "string"},
            {"name": column, "type": "real"},
            {"name": "which", "type": "string", "description": "nominal, or up or down by one standard deviation"},
        ],
        "output": {"name": "efficiency", "type": "real"},
        "data": _by_key(
            "class", {name: _by_key("which", _variations(found, column)) for name, found in measured.items()}
        ),
    }
    content = {"schema_version": _SCHEMA_VERSION, "corrections": [threshold, efficiency]}
    with staged(path, overwrite=overwrite) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def _variations(found: Efficiencies, column: str) -> dict[str, Any]:
    return {
        which: _binned(column, found.edges.tolist(), np.clip(found.value + sign * found.error, 0, 1).tolist())
        for which, sign in (("nominal", 0), ("up", 1), ("down", -1))
    }


def _binned(column: str, edges: list[float], content: list[float]) -> dict[str, Any]:
    return {"nodetype": "binning", "input": column, "edges": edges, "content": content, "flow": "clamp"}


def _by_key(name: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "nodetype": "category",
        "input": name,
        "content": [{"key": key, "value": value} for key, value in parts.items()],
    }
