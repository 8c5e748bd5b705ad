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

__all__ = [
    "EFFICIENCIES", "Evaluation", "Measured", "MeasuredMatrix", "RejectionCurve", "Roc", "ScoreHistograms",
    "Separation", "accuracy", "auc", "auc_difference", "auc_matrix", "background_rejection",
    "binary_discriminant", "confusion_matrix", "evaluate", "log_loss", "rejection_curve", "roc",
    "score_histograms",
]  # fmt: skip

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

EFFICIENCIES = (0.3, 0.5, 0.7)
"""Signal efficiencies at which the field quotes rejection (Kasieczka et al. 2019, arXiv:1902.09914)."""

_CONFIDENCE, _ONE_SIDED_SIGMA = 0.95, 1.645
"""Confidence level of a lower limit, and the standard deviations that stand for it one-sided."""

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as in a logarithm; scikit-learn's choice."""

_ROUNDING = 1e-12
"""Efficiencies closer than this are the same: sums of a million weights agree to about 1e-13."""

_REST = "rest"
"""Name of all classes but the signal, taken together."""


class Measured(NamedTuple):
    """A number and its statistical uncertainty.

    Attributes:
        value: the number; infinite for the rejection where no background passes.
        error: one standard deviation; infinite where the jets cannot tell it.
        lower_limit: at 95 % confidence, only where the value is infinite.
    """

    value: float
    error: float
    lower_limit: float | None = None

    def __str__(self) -> str:
        if self.lower_limit is not None:
            return f"> {self.lower_limit:.3g} (95% CL)"
        if not 0 < self.error < np.inf:
            return f"{self.value:.4f} ± {self.error:.4g}"
        digits = max(0, 1 - int(np.floor(np.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"

    def to_dict(self) -> dict[str, float | None]:
        """Returns what JSON can hold: None for what is not finite, the limit only where there is one."""
        return {name: _plain(x) for name, x in self._asdict().items() if x is not None}


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
        return {name: [[_plain(x) for x in row] for row in rows.tolist()] for name, rows in self._asdict().items()}


class Roc(NamedTuple):
    """The ROC curve: what passes each threshold, from the tightest down; it begins at (0, 0).

    Attributes:
        signal_efficiency: (threshold,).
        background_efficiency: (threshold,).
        thresholds: (threshold,); scores at or above one pass it; the first is +inf.
        background_error: (threshold,), of the background efficiency at this signal efficiency, as `roc` says.
        n_background: effective number of background jets, (Σw)²/Σw².
    """

    signal_efficiency: Floats
    background_efficiency: Floats
    thresholds: Floats
    background_error: Floats
    n_background: float


class RejectionCurve(NamedTuple):
    """A ROC curve as the field draws it, where some background passes.

    Attributes:
        signal_efficiency: (point,).
        rejection: (point,), 1/(background efficiency).
        low: (point,), the same for a background efficiency one standard deviation higher.
        high: (point,), the same for one lower; infinite where that is 0 or less.
    """

    signal_efficiency: Floats
    rejection: Floats
    low: Floats
    high: Floats


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


def roc(is_signal: Flags, scores: Floats, *, weights: Floats | None = None) -> Roc:
    """Returns the ROC curve of ``scores``, high for signal, with one point for each distinct score.

    The variance of the background efficiency ε at a fixed signal efficiency has two parts (Hsieh, Turnbull
    1996, Ann. Stat. 24, 25): that of ε at a fixed threshold, Σw²(x − ε)²/(Σw)² with x = 1 for jets that pass
    and 0 for others, which without weights is the binomial ε(1 − ε)/N; and, because signal jets set the
    threshold, that of the signal efficiency times the squared slope of the curve, here taken over ±1σ.

    Args:
        is_signal: (jet,).
        scores: (jet,).
        weights: (jet,) or None. With negative ones the curve can turn back.

    Raises:
        InputError: lengths differ, a score is not finite, or signal or background have no weight.

    >>> curve = roc(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1]))
    >>> curve.signal_efficiency.tolist(), curve.background_efficiency.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    is_signal, scores, weights = _checked(is_signal, scores, weights)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)

    def passing(flags: Flags) -> tuple[Floats, Floats]:
        chosen = np.where(flags, weights, 0)[order]
        passed, squares = (np.concatenate([[0.0], np.cumsum(x)[last_of_tie]]) for x in (chosen, chosen**2))
        return _share(passed, squares, total=passed[-1], total_squares=squares[-1])

    signal, signal_error = passing(is_signal)
    background, background_error = passing(~is_signal)
    rising = np.maximum.accumulate(signal)
    low, high = np.clip(signal - signal_error, 0, 1), np.clip(signal + signal_error, 0, 1)
    rise = np.interp(high, rising, background) - np.interp(low, rising, background)
    slope = np.divide(rise, high - low, out=np.zeros_like(rise), where=high > low)
    return Roc(
        signal,
        background,
        np.concatenate([[np.inf], ordered[last_of_tie]]),
        np.hypot(background_error, slope * signal_error),
        float(weights[~is_signal].sum() ** 2 / (weights[~is_signal] ** 2).sum()),
    )


def auc(is_signal: Flags, scores: Floats, *, weights: Floats | None = None) -> Measured:
    """Returns the area under the ROC curve: the probability that a signal jet scores above a background jet.

    The uncertainty is that of DeLong, DeLong, Clarke-Pearson 1988 (Biometrics 44, 837), in n·log n steps as
    in Sun, Xu 2014 (IEEE Signal Process. Lett. 21, 1389). With weights, each jet's share of the area is
    weighted, and the variance of a weighted mean is Σw²(x − mean)²/(Σw)². It is 0 where signal and background
    do not overlap at all, which the method cannot judge, and infinite where one of them is a single jet.

    Args:
        is_signal: (jet,).
        scores: (jet,), high for signal.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`.

    >>> print(auc(np.array([True, True, True, False, False]), np.array([0.9, 0.8, 0.4, 0.6, 0.1])))
    0.83 ± 0.24
    """
    is_signal, scores, weights = _checked(is_signal, scores, weights)
    return _mean_with_error(_shares_of_area(is_signal, scores, weights), is_signal, weights)


def auc_difference(is_signal: Flags, scores_a: Floats, scores_b: Floats, *, weights: Floats | None = None) -> Measured:
    """Returns AUC(a) − AUC(b) of two taggers on the same jets.

    The uncertainty knows that both saw the same jets (DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44,
    837, for the contrast (1, −1)); for taggers that agree on most jets it is far smaller than the errors of
    the two AUCs.

    Args:
        is_signal: (jet,).
        scores_a: (jet,), high for signal.
        scores_b: (jet,), high for signal.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`.
    """
    _, scores_b, _ = _checked(is_signal, scores_b, weights)
    is_signal, scores_a, weights = _checked(is_signal, scores_a, weights)
    shares_a, shares_b = (_shares_of_area(is_signal, scores, weights) for scores in (scores_a, scores_b))
    return _mean_with_error(shares_a - shares_b, is_signal, weights)


def background_rejection(
    is_signal: Flags, scores: Floats, *, signal_efficiency: float, weights: Floats | None = None
) -> Measured:
    """Returns 1/(background efficiency) at the tightest threshold that passes ``signal_efficiency``.

    The uncertainty of the background efficiency ε, described at `roc`, is carried over to 1/ε as σ/ε². Where
    no background passes, value and error are infinite, and the lower limit is that of Clopper, Pearson 1934
    (Biometrika 26, 404) for 0 of N = (Σw)²/Σw² effective jets, 1/(1 − 0.05^(1/N)), about N/3; where negative
    weights cancel what passes, it is the Gaussian one if that is lower.

    Args:
        is_signal: (jet,).
        scores: (jet,), high for signal.
        signal_efficiency: above 0, at most 1.
        weights: (jet,) or None.

    Raises:
        InputError: as in `roc`, or an efficiency that is none.
    """
    if not 0 < signal_efficiency <= 1:
        raise InputError(
            f"asked for the rejection at a signal efficiency of {signal_efficiency}; choose one above 0, at most 1."
        )
    return _rejection(roc(is_signal, scores, weights=weights), signal_efficiency)


def rejection_curve(curve: Roc, *, n_points: int = 400) -> RejectionCurve:
    """Returns ``curve`` as rejection with a ±1σ band, at evenly spaced signal efficiencies.

    Args:
        curve: what `roc` returns.
        n_points: at most so many; those where no background passes are left out.
    """
    wanted = np.linspace(0, 1, n_points + 1)[1:] - _ROUNDING
    at = np.unique(np.searchsorted(np.maximum.accumulate(curve.signal_efficiency), wanted))
    at = at[curve.background_efficiency[at] > _ROUNDING]
    passing, error = curve.background_efficiency[at], curve.background_error[at]
    least = passing - error
    high = np.divide(1, least, out=np.full_like(least, np.inf), where=least > _ROUNDING)
    return RejectionCurve(curve.signal_efficiency[at], 1 / passing, 1 / (passing + error), high)


def binary_discriminant(p_signal: Floats, p_background: Floats) -> Floats:
    """Returns p_S/(p_S + p_B), (jet,); 0.5 where both are 0.

    The discriminant of two classes among many, with which Qu, Li, Qian 2022 (arXiv:2202.03772) quote
    rejections.

    >>> binary_discriminant(np.array([0.75, 0.1, 0.0]), np.array([0.25, 0.0, 0.0])).tolist()
    [0.75, 1.0, 0.5]
    """
    p_signal, p_background = np.asarray(p_signal, np.float64), np.asarray(p_background, np.float64)
    total = p_signal + p_background
    return np.divide(p_signal, total, out=np.full_like(total, 0.5), where=total > 0)


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
    _require_finite(scores := np.asarray(scores, np.float64), truth.shape, "scores")
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
    value, error = _share(right.sum(), (right**2).sum(), total=weights.sum(), total_squares=(weights**2).sum())
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
    value[present], error[present] = _share(
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
        {at: _rejection(curve, at) for at in EFFICIENCIES},
        curve,
        score_histograms(np.where(is_signal, signal, background), scores, weights=weights),
    )


def _rejection(curve: Roc, signal_efficiency: float) -> Measured:
    at = int(np.argmax(curve.signal_efficiency >= signal_efficiency - _ROUNDING))
    passing, error = float(curve.background_efficiency[at]), float(curve.background_error[at])
    if passing > _ROUNDING:
        return Measured(1 / passing, error / passing**2)
    most = max(1 - (1 - _CONFIDENCE) ** (1 / curve.n_background), _ONE_SIDED_SIGMA * error)
    return Measured(float("inf"), float("inf"), 1 / most)


def _share(part: Any, squares: Any, *, total: Any, total_squares: Any) -> tuple[Any, Any]:
    """The share and its error √(Σw²(x − share)²)/Σw, from sums of weights and of their squares."""
    share = part / total
    variance = (squares * (1 - 2 * share) + total_squares * share**2) / total**2
    return share, np.sqrt(np.maximum(variance, 0))


def _shares_of_area(is_signal: Flags, scores: Floats, weights: Floats) -> Floats:
    """DeLong's components: the share of background below each signal jet, of signal above each other."""
    shares = np.empty(len(scores))
    shares[is_signal] = _share_below(scores[is_signal], scores[~is_signal], weights[~is_signal])
    shares[~is_signal] = 1 - _share_below(scores[~is_signal], scores[is_signal], weights[is_signal])
    return shares


def _share_below(values: Floats, others: Floats, weights: Floats) -> Floats:
    """For each value, the weighted share of ``others`` below it; those equal count half."""
    order = np.argsort(others)
    passed = np.concatenate([[0.0], np.cumsum(weights[order])])
    below, up_to = (passed[np.searchsorted(others[order], values, side=side)] for side in ("left", "right"))
    return (below + up_to) / 2 / passed[-1]


def _mean_with_error(shares: Floats, is_signal: Flags, weights: Floats) -> Measured:
    """The mean over signal, which is that over background too, and the error that both sides give it."""
    value = float(np.average(shares[is_signal], weights=weights[is_signal]))
    variance = 0.0
    for side in (is_signal, ~is_signal):
        w, n = weights[side], int(side.sum())
        if n < 2:
            return Measured(value, float("inf"))
        variance += float((w**2 * (shares[side] - value) ** 2).sum() / w.sum() ** 2 * n / (n - 1))
    return Measured(value, float(np.sqrt(variance)))


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _checked(is_signal: Flags, scores: Floats, weights: Floats | None) -> tuple[Flags, Floats, Floats]:
    is_signal, scores = np.asarray(is_signal, bool), np.asarray(scores, np.float64)
    weights = np.ones(is_signal.shape) if weights is None else np.asarray(weights, np.float64)
    for what, values in (("scores", scores), ("weights", weights)):
        _require_finite(values, (is_signal.size,), what)
    for what, chosen in (("signal", is_signal), ("background", ~is_signal)):
        if not weights[chosen].sum() > 0:
            raise InputError(
                f"asked to tell signal from background; the {int(chosen.sum())} {what} jets have the weight "
                f"{weights[chosen].sum():g}. Give jets of both, with weights whose sum is positive."
            )
    return is_signal, scores, weights


def _require_finite(values: Floats, shape: tuple[int, ...], what: str) -> None:
    if values.shape != shape:
        raise InputError(f"asked for {what} of shape {shape}, one row a jet; found the shape {values.shape}.")
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        at = int(finite.argmin())
        raise InputError(
            f"asked for finite {what}; those of {int((~finite).sum())} jets are not, first jet {at}: "
            f"{values[at].tolist()}. Look at its features for missing values, or leave such jets out."
        )


def _checked_probabilities(probabilities: Floats, n_jets: int, classes: Sequence[str]) -> Floats:
    probabilities = np.asarray(probabilities, np.float64)
    _require_finite(probabilities, (n_jets, len(classes)), "scores")
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
    _require_finite(weights, truth.shape, "weights")
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
