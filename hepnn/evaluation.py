"""Evaluation: how well scores tell classes apart, each number with its statistical uncertainty.

Class names and probabilities go in as NumPy arrays; NamedTuples and dataclasses come out. `evaluate` gives the whole;
`hepnn.multiclass` and `hepnn.roc` have the parts, which stand on their own. Event weights count everywhere. They may be
negative, as generators beyond leading order make them: an efficiency can then leave [0, 1] and a ROC curve turn back,
but each class needs a positive sum. Uncertainties are those of a finite number of test jets; another training would
scatter on top of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.discriminants import discriminant
from hepnn.errors import InputError, closest
from hepnn.multiclass import (
    MeasuredMatrix,
    accuracy,
    auc_matrix,
    checked_probabilities,
    class_names,
    confusion_matrix,
    log_loss,
    truth_of,
)
from hepnn.roc import (
    Measured,
    Roc,
    auc,
    rejection_at,
    require_finite,
    roc,
)

__all__ = [
    "EFFICIENCIES",
    "Evaluation",
    "ScoreHistograms",
    "Separation",
    "evaluate",
    "score_histograms",
    "separate",
]

Floats = npt.NDArray[np.floating[Any]]

EFFICIENCIES = (0.3, 0.5, 0.7, 0.99)
"""Signal efficiencies at which the field quotes rejection (Kasieczka et al. 2019, arXiv:1902.09914; the last, of some
classes, in Qu, Li, Qian 2022, arXiv:2202.03772)."""

_REST = "rest"
"""Name of all classes but the signal, taken together."""


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
    names = tuple(np.unique(class_names(labels)).tolist())
    truth, weights = truth_of(labels, names, weights)
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


def evaluate(
    labels: npt.ArrayLike,
    probabilities: Floats,
    classes: Sequence[str],
    *,
    signal: str | None = None,
    background: str | None = None,
    fractions: Mapping[str, float] | None = None,
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
        fractions: of each background, for the signal by ln(p_S/Σ f_B p_B), as `hepnn.discriminants.log_ratio` says;
            then it stands against each of them.
        weights: (jet,) or None.

    Raises:
        InputError: a class is unknown, missing or has no weight, fewer than two have jets, lengths differ, or
            a score is not finite or negative.
    """
    classes = tuple(map(str, classes))
    labels = class_names(labels)
    truth, weights = truth_of(labels, classes, weights)
    probabilities = checked_probabilities(probabilities, len(truth), classes)
    n_jets = dict(zip(classes, np.bincount(truth, minlength=len(classes)).tolist(), strict=True))
    _check_roles(n_jets, signal, background)
    if background is None and len(classes) == 2:
        background = next(name for name in classes if name != (signal or classes[1]))
    predicted = np.asarray(classes)[probabilities.argmax(axis=1)]
    separations = []
    for name, against in _pairs(n_jets, signal, background, fractions):
        chosen = np.ones(len(labels), bool) if against is None else (labels == name) | (labels == against)
        scores = discriminant(
            probabilities[chosen], classes=classes, signal=name, background=against, fractions=fractions
        )
        separations.append(separate(labels[chosen], scores, signal=name, background=against, weights=weights[chosen]))
    return Evaluation(
        classes,
        n_jets,
        accuracy(labels, predicted, weights=weights),
        log_loss(labels, probabilities, classes=classes, weights=weights),
        confusion_matrix(labels, predicted, classes=classes, weights=weights),
        auc_matrix(labels, probabilities, classes=classes, weights=weights),
        tuple(separations),
    )


def separate(
    labels: npt.ArrayLike,
    scores: Floats,
    *,
    signal: str,
    background: str | None = None,
    weights: Floats | None = None,
) -> Separation:
    """Returns how well any score, of whatever origin, tells ``signal`` from ``background``.

    Args:
        labels: (jet,) class names. Other classes are left out, unless ``background`` is None.
        scores: (jet,), high for signal, in any units.
        signal: the class to find.
        background: the class to reject; None for all others together.
        weights: (jet,) or None.

    Raises:
        InputError: lengths differ, a score is not finite, or signal or background have no weight.
    """
    labels = class_names(labels)
    scores = np.asarray(scores, np.float64)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    for what, values in (("scores", scores), ("weights", weights)):
        require_finite(values, labels.shape, what)
    if background is not None:
        chosen = (labels == signal) | (labels == background)
        labels, scores, weights = labels[chosen], scores[chosen], weights[chosen]
    is_signal = np.asarray(labels == signal, bool)
    curve = roc(is_signal, scores, weights=weights)
    return Separation(
        signal,
        background or _REST,
        int(is_signal.sum()),
        int((~is_signal).sum()),
        auc(is_signal, scores, weights=weights),
        {at: rejection_at(curve, at) for at in EFFICIENCIES},
        curve,
        score_histograms(
            np.where(is_signal, signal, background or _REST), scores, limits=_limits(scores), weights=weights
        ),
    )


def _limits(scores: Floats) -> tuple[float, float]:
    """Where histograms of scores begin and end: 0 and 1 for those of probabilities, else the least and the greatest."""
    least, greatest = float(scores.min()), float(scores.max())
    return (0.0, 1.0) if least >= 0 and greatest <= 1 else (least, greatest if greatest > least else least + 1)


def _pairs(
    n_jets: Mapping[str, int], signal: str | None, background: str | None, fractions: Mapping[str, float] | None
) -> list[tuple[str, str | None]]:
    """Signals and backgrounds that stand against each other."""
    if fractions is None:
        return [(name, background) for name in ([signal] if signal else n_jets) if n_jets[name] and name != background]
    if signal is None:
        raise InputError(
            f"asked for discriminants with the fractions {dict(fractions)}; name the signal they stand against."
        )
    found: list[tuple[str, str | None]] = [
        (signal, name) for name in fractions if n_jets.get(name) and background in (None, name)
    ]
    if not found:
        raise InputError(
            f"asked for {signal!r} against backgrounds with the fractions {dict(fractions)}; there are no jets of "
            f"{background or 'any of them'}. Found {', '.join(name for name, n in n_jets.items() if n)}."
        )
    return found


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
