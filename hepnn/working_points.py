"""Working points: thresholds on a discriminant, found on labelled jets, kept as JSON, applied to any jets.

A working point fixes the signal efficiency, or the mistag rate of the background, for all jets together or in bins of
one column such as pT. `find_working_point` makes one, `passes` applies it, `efficiencies` measures what passes against
any column. ``hepnn tag --working-point`` writes a column that says which jets pass.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.discriminants import discriminant
from hepnn.errors import InputError, OutputError
from hepnn.guarded import content_of, parse_json
from hepnn.multiclass import class_names
from hepnn.roc import ROUNDING, plain, require_finite, share_with_error
from hepnn.staging import staged

__all__ = [
    "Efficiencies",
    "WorkingPoint",
    "bin_of",
    "efficiencies",
    "find_working_point",
    "passes",
    "quantile_edges",
    "read_working_point",
    "threshold_at",
    "write_working_point",
]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

_KINDS = ("efficiency", "mistag")


class Efficiencies(NamedTuple):
    """The share of jets that pass, in bins of a column.

    Attributes:
        edges: (bin + 1,).
        value: (bin,), NaN where a bin is empty or its weights sum to nothing.
        error: (bin,), one standard deviation, √(Σw²(x − ε)²)/Σw; where all or none of a bin's jets pass, that of half a
            jet more or less, 1/(2N) of N = (Σw)²/Σw² effective jets.
        n_jets: (bin,), effective number, (Σw)²/Σw².
    """

    edges: Floats
    value: Floats
    error: Floats
    n_jets: Floats

    def to_dict(self) -> dict[str, list[float | None]]:
        """Returns lists, None for what is not finite."""
        return {name: [plain(x) for x in values.tolist()] for name, values in self._asdict().items()}


class WorkingPoint(NamedTuple):
    """A cut on a discriminant.

    Attributes:
        name: of the column that says which jets pass.
        signal: the class that is to pass.
        background: the class to reject, None for all others.
        fractions: of the backgrounds, for the logarithmic discriminant; or None.
        kind: "efficiency" of the signal, or "mistag" rate of the background.
        value: what was asked for, the same in each bin.
        thresholds: (bin,); a jet passes where its discriminant is at least the threshold of its bin.
        column: what the bins are of, None for a single bin.
        edges: (bin + 1,) or empty; jets beyond the outermost count in the bins there.
    """

    name: str
    signal: str
    background: str | None
    fractions: dict[str, float] | None
    kind: str
    value: float
    thresholds: tuple[float, ...]
    column: str | None = None
    edges: tuple[float, ...] = ()


def quantile_edges(values: Floats, *, n_bins: int) -> Floats:
    """Returns the edges of bins with about as many jets each, (bin + 1,); fewer where values repeat, such as counts."""
    values = np.asarray(values, np.float64)
    edges = np.unique(np.quantile(values[np.isfinite(values)], np.linspace(0, 1, n_bins + 1)))
    return edges if len(edges) > 1 else np.array([edges[0] - 0.5, edges[0] + 0.5])


def bin_of(values: Floats, edges: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Returns the bin of each value, (jet,); what lies beyond the edges counts in the outermost bins."""
    inner = np.asarray(edges, np.float64)[1:-1]
    return np.searchsorted(inner, values, side="right")


def efficiencies(passed: Flags, values: Floats, *, edges: npt.ArrayLike, weights: Floats | None = None) -> Efficiencies:
    """Returns the share of jets that pass in each bin of ``values``.

    Args:
        passed: (jet,).
        values: (jet,), such as pT; jets beyond the outermost edges, or with NaN, are left out.
        edges: (bin + 1,), rising.
        weights: (jet,) or None.

    Raises:
        InputError: lengths differ, or the edges do not rise.

    >>> efficiencies(np.array([True, False, True]), np.array([1.0, 1.0, 3.0]), edges=[0, 2, 4]).value.tolist()
    [0.5, 1.0]
    """
    passed, values, edges = np.asarray(passed, bool), np.asarray(values, np.float64), np.asarray(edges, np.float64)
    weights = np.ones(passed.shape) if weights is None else np.asarray(weights, np.float64)
    require_finite(weights, (passed.size,), "weights")
    if values.shape != passed.shape or edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(
            f"asked for efficiencies of {passed.size} jets in bins with the edges {edges.tolist()[:6]}; found "
            f"{values.shape} values. Give one value a jet, and edges that rise."
        )
    inside = (values >= edges[0]) & (values <= edges[-1])
    at, n = bin_of(values[inside], edges), len(edges) - 1
    w, w_passed = weights[inside], np.where(passed, weights, 0)[inside]
    total, squares, part, squares_part = (np.bincount(at, x, n) for x in (w, w**2, w_passed, w_passed**2))
    some = total > 0
    n_jets = np.divide(total**2, squares, out=np.zeros(n), where=squares > 0)
    value, error = np.full((2, n), np.nan)
    value[some], error[some] = share_with_error(
        part[some], squares_part[some], total=total[some], total_squares=squares[some]
    )
    sure = some & (error <= ROUNDING)
    error[sure] = 0.5 / n_jets[sure]
    return Efficiencies(edges, value, error, n_jets)


def threshold_at(scores: Floats, share: float, *, weights: Floats | None = None) -> float:
    """Returns the tightest threshold that at least ``share`` of the weight passes; +inf for a share of 0.

    Args:
        scores: (jet,), finite.
        share: from 0 to 1.
        weights: (jet,) or None; with negative ones it is the first threshold, from the tightest down, that will do.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    w = np.ones(len(scores)) if weights is None else weights[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    passed = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(w)[last_of_tie] / w.sum()]))
    return float(np.concatenate([[np.inf], ordered[last_of_tie]])[np.searchsorted(passed, share - ROUNDING)])


def find_working_point(
    labels: npt.ArrayLike,
    probabilities: Floats,
    *,
    classes: Sequence[str],
    signal: str,
    background: str | None = None,
    fractions: Mapping[str, float] | None = None,
    efficiency: float | None = None,
    mistag: float | None = None,
    column: str | None = None,
    values: Floats | None = None,
    edges: npt.ArrayLike | None = None,
    weights: Floats | None = None,
    name: str = "",
) -> WorkingPoint:
    """Returns the thresholds that ``efficiency`` of the signal passes, or at most ``mistag`` of the background.

    Args:
        labels: (jet,) class names.
        probabilities: (jet, class).
        classes: names of the columns.
        signal: the class that is to pass.
        background: the class to reject; None for all others.
        fractions: of each background, for the logarithmic discriminant (`hepnn.discriminants.log_ratio`).
        efficiency: share of the signal, in each bin; or
        mistag: share of the background, in each bin.
        column: name of what the bins are of; None for a single bin.
        values: (jet,), of that column.
        edges: (bin + 1,), of its bins.
        weights: (jet,) or None.
        name: of the point; made of the signal and the value if empty.

    Raises:
        InputError: not one of efficiency and mistag, or no share; a class is unknown; a bin lacks the jets to set its
            threshold.
    """
    if (efficiency is None) == (mistag is None):
        raise InputError("asked for a working point; give either an efficiency or a mistag rate.")
    kind, share = ("efficiency", efficiency) if efficiency is not None else ("mistag", mistag or 0.0)
    if not 0 < share < 1:
        raise InputError(f"asked for a working point with the {kind} {share}; choose one between 0 and 1.")
    labels = class_names(labels)
    scores = discriminant(probabilities, classes=classes, signal=signal, background=background, fractions=fractions)
    require_finite(scores, labels.shape, "scores")
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if column is None:
        at, bounds = np.zeros(len(labels), np.intp), np.array([])
    else:
        bounds = np.asarray([] if edges is None else edges, np.float64)
        if values is None or np.shape(values) != labels.shape or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
            raise InputError(
                f"asked for a working point in bins of {column!r}; give its value for each of {len(labels)} jets, and "
                "edges that rise."
            )
        at = bin_of(values, bounds)
    of_background = np.isin(labels, list(fractions)) if fractions else labels == background
    if background is None and not fractions:
        of_background = labels != signal
    setting = labels == signal if kind == "efficiency" else of_background
    thresholds = []
    for i in range(max(1, len(bounds) - 1)):
        chosen = setting & (at == i)
        if not weights[chosen].sum() > 0:
            where = f" with {column} from {bounds[i]:g} to {bounds[i + 1]:g}" if column else ""
            raise InputError(
                f"asked for a threshold at the {kind} {share}; there are no {'signal' if kind == 'efficiency' else 'background'} "
                f"jets{where}. Choose wider bins, or more jets."
            )
        found = threshold_at(scores[chosen], share, weights=weights[chosen])
        if kind == "mistag" and weights[chosen & (scores >= found)].sum() > (share + ROUNDING) * weights[chosen].sum():
            found = float(np.nextafter(found, np.inf))  # jets with this very score would be too many
        thresholds.append(found)
    return WorkingPoint(
        name or f"{signal}_{kind}_{100 * share:g}".replace(".", "p"),
        signal,
        background,
        None if fractions is None else {key: float(f) for key, f in fractions.items()},
        kind,
        float(share),
        tuple(thresholds),
        column,
        tuple(bounds.tolist()),
    )


def passes(
    point: WorkingPoint, probabilities: Floats, *, classes: Sequence[str], values: Floats | None = None
) -> Flags:
    """Returns which jets pass, (jet,).

    Args:
        point: the working point.
        probabilities: (jet, class); a jet with NaN does not pass.
        classes: names of the columns.
        values: (jet,), of the point's column, if it has one.

    Raises:
        InputError: a class is unknown, or the values are missing.
    """
    scores = discriminant(
        probabilities, classes=classes, signal=point.signal, background=point.background, fractions=point.fractions
    )
    thresholds = np.asarray(point.thresholds)
    if point.column is None:
        return scores >= thresholds[0]
    if values is None or np.shape(values) != scores.shape:
        raise InputError(
            f"asked for the working point {point.name!r}, which has bins of {point.column!r}; give its value for each of "
            f"{len(scores)} jets."
        )
    return scores >= thresholds[bin_of(values, point.edges)]


def write_working_point(point: WorkingPoint, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Returns the JSON file that the working point was written to.

    Raises:
        OutputError: it exists and ``overwrite`` is not set, or cannot be written.
    """
    if not all(map(np.isfinite, point.thresholds)):
        raise OutputError(f"asked to write the working point {point.name!r}; its thresholds are {point.thresholds}.")
    with staged(path, overwrite=overwrite) as part:
        part.write_text(json.dumps({"format": _FORMAT, **point._asdict()}, indent=1) + "\n", encoding="utf-8")
    return Path(path)


_FORMAT = "hepnn working point 1"


def read_working_point(path: str | os.PathLike[str]) -> WorkingPoint:
    """Returns the working point kept in a JSON file.

    Raises:
        InputError: there is none, or it is not as `write_working_point` makes it.
    """
    try:
        content: dict[str, Any] = parse_json(content_of(Path(path)))
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        content |= {key: tuple(map(float, content[key])) for key in ("thresholds", "edges")}
        point = WorkingPoint(**content)
        n_bins = 1 if point.column is None else len(point.edges) - 1
        if len(point.thresholds) != n_bins or point.kind not in _KINDS:
            raise ValueError(f"{len(point.thresholds)} thresholds for {n_bins} bins")
        _check(point)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"asked for the working point in {path}; it cannot be read ({type(error).__name__}: {error}). Make one: "
            "hepnn evaluate FILES --tagger FOLDER --working-point efficiency=0.5 -o FOLDER/."
        ) from error
    return point


def _check(point: WorkingPoint) -> None:
    """Refuses a working point with entries of other kinds than its own, or edges that do not rise."""
    names = (point.name, point.signal, *(each for each in (point.background, point.column) if each is not None))
    numbers = (point.value, *point.thresholds, *point.edges, *(point.fractions or {}).values())
    if not all(isinstance(each, str) for each in names) or not all(isinstance(each, int | float) for each in numbers):
        raise ValueError("a name is no text, or a number none")
    if not (np.diff(point.edges) > 0).all():
        raise ValueError(f"its edges {point.edges} do not rise")
