"""Any number of classes: accuracy, log loss, confusion and pairwise AUC, each with its statistical uncertainty.

Class names (jet,) and probabilities (jet, class) go in as NumPy arrays. Event weights count everywhere and may be
negative, but each class needs a positive sum. `hepnn.evaluation` puts these together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError
from hepnn.roc import SMALLEST_PROBABILITY, Measured, auc, binary_discriminant, plain, require_finite, share_with_error

__all__ = [
    "MeasuredMatrix",
    "accuracy",
    "auc_matrix",
    "checked_probabilities",
    "class_names",
    "confusion_matrix",
    "log_loss",
    "truth_of",
]

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.intp]


class MeasuredMatrix(NamedTuple):
    """A number for each pair of classes, NaN where a class has no jets.

    Attributes:
        value: (class, class).
        error: (class, class), one standard deviation.
    """

    value: Floats
    error: Floats

    def to_dict(self) -> dict[str, list[list[float | None]]]:
        """Returns lists of rows, None for NaN."""
        return {name: [[plain(x) for x in row] for row in rows.tolist()] for name, rows in self._asdict().items()}


def accuracy(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, weights: Floats | None = None) -> Measured:
    """Returns the share of jets whose ``predicted`` class is the true one.

    The uncertainty is that of a weighted share, as in `roc`: without weights the binomial √(a(1 − a)/N).

    Args:
        labels: (jet,) class names.
        predicted: (jet,) class names.
        weights: (jet,) or None.

    Raises:
        InputError: lengths differ, a label is missing, or a class has no weight.
    """
    names = class_names(labels)
    _, weights = truth_of(names, tuple(np.unique(names).tolist()), weights)
    right = np.where(names == class_names(predicted, names.shape), weights, 0)
    value, error = share_with_error(
        right.sum(), (right**2).sum(), total=weights.sum(), total_squares=(weights**2).sum()
    )
    return Measured(float(value), float(error))


def log_loss(
    labels: npt.ArrayLike, probabilities: Floats, *, classes: Sequence[str], weights: Floats | None = None
) -> Measured:
    """Returns the mean of −ln(probability of the true class), in nats, and its standard error.

    Each jet's probabilities are divided by their sum. One of 0 counts as 2.2e-16, as in scikit-learn.

    Args:
        labels: (jet,) class names.
        probabilities: (jet, class).
        classes: names of the columns.
        weights: (jet,) or None.

    Raises:
        InputError: as in `evaluate`.
    """
    truth, weights = truth_of(labels, classes, weights)
    probabilities = checked_probabilities(probabilities, len(truth), classes)
    total = probabilities.sum(axis=1)
    of_truth = np.divide(probabilities[np.arange(len(truth)), truth], total, out=0 * total, where=total > 0)
    loss = -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1))
    value = np.average(loss, weights=weights)
    return Measured(float(value), float(np.sqrt((weights**2 * (loss - value) ** 2).sum()) / weights.sum()))


def confusion_matrix(
    labels: npt.ArrayLike, predicted: npt.ArrayLike, *, classes: Sequence[str], weights: Floats | None = None
) -> MeasuredMatrix:
    """Returns the share of each true class (row) that is taken for each class (column); rows sum to 1.

    Args:
        labels: (jet,) class names.
        predicted: (jet,) class names.
        classes: names of rows and columns.
        weights: (jet,) or None.

    Raises:
        InputError: as in `evaluate`.
    """
    truth, weights = truth_of(labels, classes, weights)
    n, taken_for = len(classes), _indices(class_names(predicted, truth.shape), classes)
    cells, squares = (np.bincount(truth * n + taken_for, x, n * n).reshape(n, n) for x in (weights, weights**2))
    present = np.bincount(truth, minlength=n) > 0
    value, error = np.full((2, n, n), np.nan)
    cells, squares = cells[present], squares[present]
    value[present], error[present] = share_with_error(
        cells,
        squares,
        total=cells.sum(axis=1, keepdims=True),
        total_squares=squares.sum(axis=1, keepdims=True),
    )
    return MeasuredMatrix(value, error)


def auc_matrix(
    labels: npt.ArrayLike, probabilities: Floats, *, classes: Sequence[str], weights: Floats | None = None
) -> MeasuredMatrix:
    """Returns the AUC of each class against each by p_S/(p_S + p_B), as in `auc`; 0.5 on the diagonal.

    Args:
        labels: (jet,) class names.
        probabilities: (jet, class).
        classes: names of the columns.
        weights: (jet,) or None.

    Raises:
        InputError: as in `evaluate`.
    """
    truth, weights = truth_of(labels, classes, weights)
    probabilities = checked_probabilities(probabilities, len(truth), classes)
    value, error = np.full((2, len(classes), len(classes)), np.nan)
    rows = [np.flatnonzero(truth == i) for i in range(len(classes))]
    present = [i for i, found in enumerate(rows) if len(found)]
    for i in present:
        value[i, i], error[i, i] = 0.5, 0.0
        for j in present[: present.index(i)]:
            both = np.concatenate([rows[i], rows[j]])
            scores = binary_discriminant(probabilities[both, i], probabilities[both, j])
            measured = auc(truth[both] == i, scores, weights=weights[both])
            value[[i, j], [j, i]], error[[i, j], [j, i]] = measured.value, measured.error
    return MeasuredMatrix(value, error)


def checked_probabilities(probabilities: Floats, n_jets: int, classes: Sequence[str]) -> Floats:
    """Returns probabilities, (jet, class), as float64.

    Raises:
        InputError: another shape, or one that is negative or not finite.
    """
    probabilities = np.asarray(probabilities, np.float64)
    require_finite(probabilities, (n_jets, len(classes)), "scores")
    if (probabilities < 0).any():
        at = int((probabilities < 0).any(axis=1).argmax())
        raise InputError(
            f"asked for probabilities; jet {at} has {probabilities[at].tolist()}. If these are logits, "
            "take their softmax."
        )
    return probabilities


def class_names(labels: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Returns class names, (jet,), as text.

    Raises:
        InputError: another shape, or a name is missing.
    """
    found = np.asarray(labels)
    if found.ndim != 1 or (shape is not None and found.shape != shape):
        raise InputError(f"asked for one class name a jet, the shape {shape or '(jet,)'}; found {found.shape}.")
    if found.dtype == object:
        missing = np.array([name is None or isinstance(name, float) for name in found], bool)  # a float is NaN
        if missing.any():
            raise InputError(
                f"asked for the class of each jet; {int(missing.sum())} of {len(found)} have none, first jet "
                f"{int(missing.argmax())}. Leave them out: jets[~ak.is_none(jets.label)]."
            )
    return found.astype(str)


def _indices(names: npt.NDArray[Any], classes: Sequence[str]) -> Indices:
    found = np.full(names.shape, -1, np.intp)
    for i, name in enumerate(classes):
        found[names == name] = i
    if (found < 0).any():
        unknown = np.unique(names[found < 0]).tolist()
        raise InputError(
            f"asked to judge a tagger of the classes {', '.join(classes)}; found jets labelled "
            f"{', '.join(unknown[:10])}: {int((found < 0).sum())} of {len(names)}, first jet "
            f"{int((found < 0).argmax())}. Leave them out with a selection."
        )
    return found


def truth_of(labels: npt.ArrayLike, classes: Sequence[str], weights: Floats | None) -> tuple[Indices, Floats]:
    """Returns the column of each jet's class and its weight, (jet,) both.

    Raises:
        InputError: lengths differ, a class is unknown or missing, or has no weight.
    """
    truth = _indices(class_names(labels), classes)
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    require_finite(weights, truth.shape, "weights")
    sums = np.bincount(truth, weights, len(classes))
    for i in np.flatnonzero((np.bincount(truth, minlength=len(classes)) > 0) & ~(sums > 0)).tolist():
        raise InputError(
            f"asked for weights that count jets; those of the class {classes[i]!r} have the sum {sums[i]:g}. Take other "
            "weights, or leave the class out."
        )
    return truth, weights
