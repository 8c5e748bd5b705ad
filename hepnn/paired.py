"""Two taggers on the same jets: difference and ratio of their background rejections.

Both saw the same jets, so their numbers move together from one test sample to the next, and the error of a difference is
far smaller than what the two errors would give in quadrature. The area's difference is `hepnn.roc.auc_difference`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError
from hepnn.roc import Measured, Roc, checked, points_at, roc

__all__ = ["RejectionRatio", "rejection_difference", "rejection_ratio"]

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


class _Pair(NamedTuple):
    """Background efficiencies of two taggers at the same signal efficiencies, (point,) each, and their covariance."""

    a: Floats
    b: Floats
    variance_a: Floats
    variance_b: Floats
    covariance: Floats


def rejection_difference(
    is_signal: Flags, scores_a: Floats, scores_b: Floats, *, signal_efficiency: float, weights: Floats | None = None
) -> Measured:
    """Returns 1/ε_B(a) − 1/ε_B(b) of two taggers on the same jets, at one signal efficiency.

    Each 1/ε_B and its error are those of `hepnn.roc.background_rejection`. To first order an efficiency is a sum over
    jets of w(x − ε)/Σw, with x = 1 for jets that pass, so the covariance of two is Σw²(x_a − ε_a)(x_b − ε_b)/(Σw)²
    (linearisation: Efron, Tibshirani 1993, An Introduction to the Bootstrap, ch. 21); that of the signal efficiencies
    counts with both slopes of the curves. Where no background passes one of the two, the value is NaN and the error
    infinite.

    Args:
        is_signal: (jet,).
        scores_a: (jet,), high for signal.
        scores_b: (jet,), high for signal.
        signal_efficiency: above 0, at most 1.
        weights: (jet,) or None.

    Raises:
        InputError: as in `hepnn.roc.background_rejection`.
    """
    pair = _pair(is_signal, scores_a, scores_b, weights, np.array([signal_efficiency], np.float64))
    a, b, variance_a, variance_b, covariance = (float(x[0]) for x in pair)
    if min(a, b) <= 0:
        return Measured(float("nan"), float("inf"))
    variance = variance_a / a**4 + variance_b / b**4 - 2 * covariance / (a * b) ** 2
    return Measured(1 / a - 1 / b, float(np.sqrt(max(variance, 0.0))))


def rejection_ratio(
    is_signal: Flags,
    scores_a: Floats,
    scores_b: Floats,
    *,
    weights: Floats | None = None,
    efficiencies: npt.ArrayLike = _EFFICIENCIES,
) -> RejectionRatio:
    """Returns the rejection of a over that of b on the same jets; the error as in `rejection_difference`.

    Args:
        is_signal: (jet,).
        scores_a: (jet,), high for signal.
        scores_b: (jet,), high for signal.
        weights: (jet,) or None.
        efficiencies: signal efficiencies, rising; those where no background passes are left out.

    Raises:
        InputError: as in `hepnn.roc.background_rejection`.
    """
    at = np.asarray(efficiencies, np.float64)
    pair = _pair(is_signal, scores_a, scores_b, weights, at)
    some = (pair.a > 0) & (pair.b > 0)
    a, b, variance_a, variance_b, covariance = (x[some] for x in pair)
    relative = variance_a / a**2 + variance_b / b**2 - 2 * covariance / (a * b)
    return RejectionRatio(at[some], b / a, b / a * np.sqrt(np.maximum(relative, 0)))


def _pair(is_signal: Flags, scores_a: Floats, scores_b: Floats, weights: Floats | None, efficiencies: Floats) -> _Pair:
    if not ((efficiencies > 0) & (efficiencies <= 1)).all() or (np.diff(efficiencies) < 0).any():
        raise InputError(
            f"asked to compare at the signal efficiencies {efficiencies.tolist()[:5]}; choose rising ones above 0, at "
            "most 1."
        )
    _, scores_b, _ = checked(is_signal, scores_b, weights)
    is_signal, scores_a, weights = checked(is_signal, scores_a, weights)
    a, b = (_Points.of(roc(is_signal, x, weights=weights), efficiencies) for x in (scores_a, scores_b))
    covariance = a.slope * b.slope * _covariance(
        a.signal,
        b.signal,
        _first_passed(scores_a[is_signal], a),
        _first_passed(scores_b[is_signal], b),
        weights[is_signal],
    ) + _covariance(
        a.background,
        b.background,
        _first_passed(scores_a[~is_signal], a),
        _first_passed(scores_b[~is_signal], b),
        weights[~is_signal],
    )
    return _Pair(a.background, b.background, a.error**2, b.error**2, covariance)


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
