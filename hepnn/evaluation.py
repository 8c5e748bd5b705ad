"""Evaluation: how well scores tell classes apart, each number with its statistical uncertainty.

Class names and probabilities go in as NumPy arrays; NamedTuples and dataclasses come out. `evaluate` gives
the whole; the functions it uses stand on their own. Event weights count everywhere. They may be negative, as
generators beyond leading order make them: an efficiency can then leave [0, 1] and a ROC curve turn back, but
each class needs a positive sum. Uncertainties are those of a finite number of test jets; another training
would scatter on top of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError, closest
from hepnn.roc import (
    Measured,
    Roc,
    auc,
    binary_discriminant,
    plain,
    rejection_at,
    require_finite,
    roc,
    share_with_error,
)

__all__ = [
    "EFFICIENCIES",
    "Evaluation",
    "MeasuredMatrix",
    "ScoreHistograms",
    "Separation",
    "accuracy",
    "auc_matrix",
    "confusion_matrix",
    "evaluate",
    "log_loss",
    "score_histograms",
]

Floats = npt.NDArray[np.floating[Any]]

Flags = npt.NDArray[np.bool_]

Indices = npt.NDArray[np.intp]

EFFICIENCIES = (0.3, 0.5, 0.7)
"""Signal efficiencies at which the field quotes rejection (Kasieczka et al. 2019, arXiv:1902.09914)."""

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as in a logarithm; scikit-learn's choice."""

_REST = "rest"
"""Name of all classes but the signal, taken together."""


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


class ScoreHistograms(NamedTuple):
    """How a score is distributed, class by class.

    Attributes:
        edges: (bin + 1,).
        share: (bin,) by class; sums to 1 over the bins.
        error: (bin,) by class, one standard deviation: √Σw² of the bin over Σw of the class.
    """

    edges: Floats
    share: Mapping[str, Floats]
    error: Mapping[str, Floats]


@dataclass(frozen=True)
class Separation:
    """One signal class against the background.

    Attributes:
        signal: its name.
        background: name of the background, or "rest" for all other classes.
        n_signal: number of signal jets.
        n_background: number of background jets.
        auc: area under the ROC curve.
        rejection: 1/(background efficiency) by signal efficiency.
        roc: the curve.
        scores: how the discriminant is distributed.
    """

    signal: str
    background: str
    n_signal: int
    n_background: int
    auc: Measured
    rejection: Mapping[float, Measured]
    roc: Roc
    scores: ScoreHistograms

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold: the numbers, without curve and histograms."""
        return {
            "signal": self.signal,
            "background": self.background,
            "n_signal": self.n_signal,
            "n_background": self.n_background,
            "auc": self.auc.to_dict(),
            "rejection": {str(at): value.to_dict() for at, value in self.rejection.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """How well a tagger does on some jets.

    Attributes:
        classes: names, as the columns of the probabilities.
        n_jets: number of jets by class; 0 for a class that these jets lack.
        accuracy: share of jets whose most probable class is the true one.
        log_loss: mean of −ln(probability of the true class).
        confusion: (true, predicted), the share of each class that is taken for each.
        auc_matrix: (signal, background), each class against each by p_S/(p_S + p_B).
        separations: each signal against the background.
    """

    classes: tuple[str, ...]
    n_jets: Mapping[str, int]
    accuracy: Measured
    log_loss: Measured
    confusion: MeasuredMatrix
    auc_matrix: MeasuredMatrix
    separations: tuple[Separation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold: all numbers, without the curves. What is not finite becomes None."""
        return {
            "classes": list(self.classes),
            "n_jets": dict(self.n_jets),
            "accuracy": self.accuracy.to_dict(),
            "log_loss": self.log_loss.to_dict(),
            "confusion": self.confusion.to_dict(),
            "auc_matrix": self.auc_matrix.to_dict(),
            "separations": [part.to_dict() for part in self.separations],
        }


def score_histograms(
    labels: npt.ArrayLike,
    scores: Floats,
    *,
    n_bins: int = 40,
    limits: tuple[float, float] = (0.0, 1.0),
    weights: Floats | None = None,
) -> ScoreHistograms:
    """Returns how ``scores`` are distributed for each class among ``labels``, in order of their names.

    Args:
        labels: (jet,) class names.
        scores: (jet,).
        n_bins: number of equal bins.
        limits: where the first begins and the last ends; scores beyond them count in the outermost bins.
        weights: (jet,) or None.

    Raises:
        InputError: lengths differ, a score is not finite, a label is missing, or a class has no weight.
    """
    names = tuple(np.unique(_names(labels)).tolist())
    truth, weights = _truth(labels, names, weights)
    require_finite(scores := np.asarray(scores, np.float64), truth.shape, "scores")
    edges = np.linspace(*limits, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, n_bins - 1)
    total = np.bincount(truth, weights)
    cell = truth * n_bins + bins
    counts, squares = (np.bincount(cell, x, len(names) * n_bins).reshape(-1, n_bins) for x in (weights, weights**2))
    return ScoreHistograms(
        edges,
        dict(zip(names, counts / total[:, None], strict=True)),
        dict(zip(names, np.sqrt(squares) / total[:, None], strict=True)),
    )


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
    names = _names(labels)
    _, weights = _truth(names, tuple(np.unique(names).tolist()), weights)
    right = np.where(names == _names(predicted, names.shape), weights, 0)
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
    truth, weights = _truth(labels, classes, weights)
    probabilities = _checked_probabilities(probabilities, len(truth), classes)
    total = probabilities.sum(axis=1)
    of_truth = np.divide(probabilities[np.arange(len(truth)), truth], total, out=0 * total, where=total > 0)
    loss = -np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1))
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
    truth, weights = _truth(labels, classes, weights)
    n, taken_for = len(classes), _indices(_names(predicted, truth.shape), classes)
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
    truth, weights = _truth(labels, classes, weights)
    probabilities = _checked_probabilities(probabilities, len(truth), classes)
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


def evaluate(
    labels: npt.ArrayLike,
    probabilities: Floats,
    classes: Sequence[str],
    *,
    signal: str | None = None,
    background: str | None = None,
    weights: Floats | None = None,
) -> Evaluation:
    """Returns how well ``probabilities`` tell the classes apart.

    Args:
        labels: (jet,) class names. Classes without jets are left out, unless they are asked for.
        probabilities: (jet, class), none negative.
        classes: names of the columns.
        signal: the class to find; None for each in turn but the background.
        background: the class to reject, by p_S/(p_S + p_B). None for the other of two classes (of which the
            second is then the signal, as in scikit-learn), or for all other classes together, by p_S.
        weights: (jet,) or None.

    Raises:
        InputError: a class is unknown, missing or has no weight, fewer than two have jets, lengths differ, or
            a score is not finite or negative.
    """
    classes = tuple(map(str, classes))
    labels = _names(labels)
    truth, weights = _truth(labels, classes, weights)
    probabilities = _checked_probabilities(probabilities, len(truth), classes)
    n_jets = dict(zip(classes, np.bincount(truth, minlength=len(classes)).tolist(), strict=True))
    _check_roles(n_jets, signal, background)
    if background is None and len(classes) == 2:
        background = next(name for name in classes if name != (signal or classes[1]))
    signals = [signal] if signal else [name for name in classes if n_jets[name] and name != background]
    predicted = np.asarray(classes)[probabilities.argmax(axis=1)]
    separations = []
    for name in signals:
        of_signal = probabilities[:, classes.index(name)]
        if background is None:
            chosen, scores = np.ones(len(labels), bool), of_signal
        else:
            chosen = (labels == name) | (labels == background)
            scores = binary_discriminant(of_signal, probabilities[:, classes.index(background)])
        separations.append(_separation(labels[chosen], scores[chosen], name, background or _REST, weights[chosen]))
    return Evaluation(
        classes,
        n_jets,
        accuracy(labels, predicted, weights=weights),
        log_loss(labels, probabilities, classes=classes, weights=weights),
        confusion_matrix(labels, predicted, classes=classes, weights=weights),
        auc_matrix(labels, probabilities, classes=classes, weights=weights),
        tuple(separations),
    )


def _separation(labels: npt.NDArray[Any], scores: Floats, signal: str, background: str, weights: Floats) -> Separation:
    is_signal = labels == signal
    curve = roc(is_signal, scores, weights=weights)
    return Separation(
        signal,
        background,
        int(is_signal.sum()),
        int((~is_signal).sum()),
        auc(is_signal, scores, weights=weights),
        {at: rejection_at(curve, at) for at in EFFICIENCIES},
        curve,
        score_histograms(np.where(is_signal, signal, background), scores, weights=weights),
    )


def _checked_probabilities(probabilities: Floats, n_jets: int, classes: Sequence[str]) -> Floats:
    probabilities = np.asarray(probabilities, np.float64)
    require_finite(probabilities, (n_jets, len(classes)), "scores")
    if (probabilities < 0).any():
        at = int((probabilities < 0).any(axis=1).argmax())
        raise InputError(
            f"asked for probabilities; jet {at} has {probabilities[at].tolist()}. If these are logits, "
            "take their softmax."
        )
    return probabilities


def _names(labels: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
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


def _truth(labels: npt.ArrayLike, classes: Sequence[str], weights: Floats | None) -> tuple[Indices, Floats]:
    """The column of each jet's class and its weight, after checks."""
    truth = _indices(_names(labels), classes)
    weights = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    require_finite(weights, truth.shape, "weights")
    for i in np.unique(truth):
        if not weights[truth == i].sum() > 0:
            raise InputError(
                f"asked for weights that count jets; those of the class {classes[i]!r} have the sum "
                f"{weights[truth == i].sum():g}. Take other weights, or leave the class out."
            )
    return truth, weights


def _check_roles(n_jets: Mapping[str, int], signal: str | None, background: str | None) -> None:
    for role, name in (("signal", signal), ("background", background)):
        if name is not None and name not in n_jets:
            raise InputError(
                f"asked for the {role} {name!r}; the tagger knows only "
                f"{', '.join(n_jets)}. Closest: {closest(name, n_jets)}."
            )
        if name is not None and not n_jets[name]:
            raise InputError(f"asked for the {role} {name!r}; no jet is labelled so. Add a file that has such jets.")
    if signal is not None and signal == background:
        raise InputError(f"asked to tell {signal!r} from itself; name another signal or background.")
    present = [name for name, n in n_jets.items() if n]
    if len(present) < 2:
        raise InputError(
            f"asked to tell classes apart; all {sum(n_jets.values())} jets are "
            f"{present[0] if present else 'missing'}. Add files with another of {', '.join(n_jets)}."
        )
