"""Calibration: whether a probability of 0.8 is right in 80 % of cases, and the temperature that makes it so.

Guo, Pleiss, Sun, Weinberger 2017 (On Calibration of Modern Neural Networks, arXiv:1706.04599) describe reliability
diagram, expected calibration error and temperature scaling; weights count everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from hepnn.multiclass import checked_probabilities, truth_of
from hepnn.roc import Measured, plain, share_with_error

__all__ = ["Reliability", "at_temperature", "fit_temperature", "reliability"]

Floats = npt.NDArray[np.floating[Any]]

_LEAST_LOGARITHM = -80.0
"""ln of a probability below which float32 has none; keeps powers of it finite."""

_TEMPERATURES = (0.05, 20.0)
"""Range that a temperature is looked for in."""


class Reliability(NamedTuple):
    """How often the most probable class is the true one, by its probability.

    Attributes:
        edges: (bin + 1,), of the probability of the most probable class.
        predicted: (bin,), its mean; NaN in a bin without jets.
        observed: (bin,), share of jets for which it is the true class.
        error: (bin,), one standard deviation of that.
        share: (bin,), of all jets.
        ece: expected calibration error, Σ share · |observed − predicted| (arXiv:1706.04599, Eq. 3). Its error is that of
            the observed shares; it is never 0 for a finite number of jets, see ``ece_floor``.
        ece_floor: what a perfectly calibrated tagger has on so many jets, Σ share · σ √(2/π), with σ the error of the
            bin: the mean of |x| of a normal x.
    """

    edges: Floats
    predicted: Floats
    observed: Floats
    error: Floats
    share: Floats
    ece: Measured
    ece_floor: float

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {
            **{name: [plain(x) for x in getattr(self, name).tolist()] for name in self._fields[:5]},
            "ece": self.ece.to_dict(),
            "ece_floor": self.ece_floor,
        }


def reliability(
    labels: npt.ArrayLike,
    probabilities: Floats,
    *,
    classes: Sequence[str],
    weights: Floats | None = None,
    n_bins: int = 15,
) -> Reliability:
    """Returns how the probability of the most probable class compares with how often it is the true one.

    Args:
        labels: (jet,) class names.
        probabilities: (jet, class).
        classes: names of the columns.
        weights: (jet,) or None.
        n_bins: equal bins from 1/(number of classes), the least that the most probable class can have, to 1.

    Raises:
        InputError: as in `hepnn.evaluation.evaluate`.
    """
    truth, weights = truth_of(labels, classes, weights)
    probabilities = _normalised(checked_probabilities(probabilities, len(truth), classes))
    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(truth)), best]
    right = np.where(best == truth, weights, 0)
    edges = np.linspace(1 / len(classes), 1, n_bins + 1)
    at = np.searchsorted(edges[1:-1], confidence, side="right")
    total, squares, part, squares_part, sums = (
        np.bincount(at, x, n_bins) for x in (weights, weights**2, right, right**2, weights * confidence)
    )
    some = total > 0
    predicted, observed, error = np.full((3, n_bins), np.nan)
    predicted[some] = sums[some] / total[some]
    observed[some], error[some] = share_with_error(
        part[some], squares_part[some], total=total[some], total_squares=squares[some]
    )
    share = np.where(some, total, 0) / total[some].sum()
    ece = float((share * np.abs(observed - predicted))[some].sum())
    # the spread of a calibrated tagger is that of its own probabilities, not of what was observed
    expected = np.sqrt(np.maximum(predicted * (1 - predicted) * squares, 0))[some] / total[some]
    return Reliability(
        edges,
        predicted,
        observed,
        error,
        share,
        Measured(ece, float(np.sqrt(((share * error)[some] ** 2).sum()))),
        float((share[some] * expected).sum() * np.sqrt(2 / np.pi)),
    )


def at_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Returns the softmax of the logits divided by ``temperature``, (jet, class), from the probabilities alone.

    Logits are ln p but for a constant that the softmax does not see, so it is p^(1/T)/Σ p^(1/T).

    >>> at_temperature(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    logarithm = _logarithms(_normalised(np.asarray(probabilities, np.float64))) / temperature
    scaled = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(
    labels: npt.ArrayLike, probabilities: Floats, *, classes: Sequence[str], weights: Floats | None = None
) -> float:
    """Returns the temperature with the least log loss on these jets (arXiv:1706.04599, Sec. 4.2).

    Above 1 the tagger was too sure, below 1 not sure enough. It changes no order of the jets and no most probable class.

    Args:
        labels: (jet,) class names.
        probabilities: (jet, class).
        classes: names of the columns.
        weights: (jet,) or None.

    Raises:
        InputError: as in `hepnn.evaluation.evaluate`.
    """
    truth, weights = truth_of(labels, classes, weights)
    logarithm = _logarithms(_normalised(checked_probabilities(probabilities, len(truth), classes)))
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = logarithm * np.exp(-log_temperature)
        most = scaled.max(axis=1)
        normal = most + np.log(np.exp(scaled - most[:, None]).sum(axis=1))
        return float(np.average(normal - scaled[rows, truth], weights=weights))

    bounds = tuple(np.log(_TEMPERATURES))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5}).x))


def _normalised(probabilities: Floats) -> Floats:
    total = probabilities.sum(axis=1, keepdims=True)
    return np.divide(probabilities, total, out=np.full_like(probabilities, 1 / probabilities.shape[1]), where=total > 0)


def _logarithms(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, np.exp(_LEAST_LOGARITHM)))
