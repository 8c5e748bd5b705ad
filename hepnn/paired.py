"""Two taggers on the same jets: difference and ratio of their background rejections.

Both saw the same jets, so their numbers move together from one test sample to the next, and the error of a difference is
far smaller than what the two errors would give in quadrature. The area's difference is `hepnn.roc.auc_difference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError
from hepnn.roc import Measured, Roc, checked, points_at, roc

__all__ = ["Paired", "RejectionRatio", "compare_rejections"]

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

_EFFICIENCIES = np.linspace(0.02, 1.0, 99)
"""Signal efficiencies of a curve of ratios."""


class RejectionRatio(NamedTuple):
    """Rejection of one tagger over that of another, where some background passes both.

    Attributes:
        signal_efficiency: (point,).
        ratio: (point,).
        error: (point,), one standard deviation, that of two taggers on the same jets.
    """

    signal_efficiency: Floats
    ratio: Floats
    error: Floats


class Paired(NamedTuple):
    """How the rejections of two taggers on the same jets compare.

    Attributes:
        difference: 1/ε_B(a) − 1/ε_B(b) by signal efficiency; NaN with an infinite error where no background passes one.
        ratio: of the rejections, a over b.
    """

    difference: Mapping[float, Measured]
    ratio: RejectionRatio


def compare_rejections(
    is_signal: Flags,
    scores_a: Floats,
    scores_b: Floats,
    *,
    at: Sequence[float] = (),
    weights: Floats | None = None,
    curves: tuple[Roc, Roc] | None = None,
) -> Paired:
    """Returns difference and ratio of two taggers' rejections on the same jets.

    Each 1/ε_B and its error are those of `hepnn.roc.background_rejection`. To first order an efficiency is a sum over
    jets of w(x − ε)/Σw, with x = 1 for jets that pass, so the covariance of two is Σw²(x_a − ε_a)(x_b − ε_b)/(Σw)²
    (linearisation: Efron, Tibshirani 1993, An Introduction to the Bootstrap, ch. 21); that of the signal efficiencies
    counts with both slopes of the curves.

    Args:
        is_signal: (jet,).
        scores_a: (jet,), high for signal.
        scores_b: (jet,), high for signal.
        at: signal efficiencies of the differences, above 0, at most 1.
        weights: (jet,) or None.
        curves: the two ROC curves, where they were worked out before.

    Raises:
        InputError: as in `hepnn.roc.background_rejection`.
    """
    _, scores_b, _ = checked(is_signal, scores_b, weights)
    is_signal, scores_a, weights = checked(is_signal, scores_a, weights)
    for each in at:
        if not 0 < each <= 1:
            raise InputError(f"asked to compare at a signal efficiency of {each}; choose one above 0, at most 1.")
    if curves is None:
        curves = (roc(is_signal, scores_a, weights=weights), roc(is_signal, scores_b, weights=weights))
    wanted = np.unique([*_EFFICIENCIES, *at])
    a, b = (_Points.of(curve, wanted) for curve in curves)
    first = [_first_passed(scores, points) for scores, points in ((scores_a, a), (scores_b, b))]
    covariance, of_signal = (
        _covariance(share_a, share_b, first[0][side], first[1][side], weights[side])
        for share_a, share_b, side in ((a.background, b.background, ~is_signal), (a.signal, b.signal, is_signal))
    )
    covariance = covariance + a.slope * b.slope * of_signal
    some = (a.background > 0) & (b.background > 0)
    difference, error = np.full(len(wanted), np.nan), np.full(len(wanted), np.inf)
    x, y = a.background[some], b.background[some]
    relative = [(points.error[some] / points.background[some]) ** 2 for points in (a, b)]
    shared = covariance[some] / (x * y)
    difference[some] = 1 / x - 1 / y
    error[some] = np.sqrt(np.maximum(relative[0] / x**2 + relative[1] / y**2 - 2 * shared / (x * y), 0))
    return Paired(
        {each: Measured(*(float(v[np.searchsorted(wanted, each)]) for v in (difference, error))) for each in at},
        RejectionRatio(wanted[some], y / x, y / x * np.sqrt(np.maximum(sum(relative) - 2 * shared, 0))),
    )


class _Points(NamedTuple):
    """A ROC curve at some signal efficiencies, (point,) each."""

    signal: Floats
    background: Floats
    thresholds: Floats
    error: Floats
    slope: Floats

    @classmethod
    def of(cls, curve: Roc, efficiencies: Floats) -> _Points:
        at = points_at(curve, efficiencies)
        return cls(
            curve.signal_efficiency[at],
            curve.background_efficiency[at],
            curve.thresholds[at],
            curve.background_error[at],
            curve.slope[at],
        )


def _first_passed(scores: Floats, points: _Points) -> npt.NDArray[np.intp]:
    """The first point at which each jet passes, (jet,); as many as there are points for none."""
    return np.searchsorted(-points.thresholds, -scores)


def _covariance(
    share_a: Floats, share_b: Floats, first_a: npt.NDArray[np.intp], first_b: npt.NDArray[np.intp], weights: Floats
) -> Floats:
    """Covariance of two weighted shares at each point; a jet passes both taggers from the later of its first points on."""
    n, squares = len(share_a), weights**2
    of_a, of_b, both = (
        np.cumsum(np.bincount(first, squares, n + 1))[:n] for first in (first_a, first_b, np.maximum(first_a, first_b))
    )
    total: Floats = both - share_b * of_a - share_a * of_b + share_a * share_b * squares.sum()
    return total / weights.sum() ** 2
