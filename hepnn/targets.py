"""Targets: what a tagger learns from besides the jets: the index of each jet's class, and its weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = [
    "auc",
    "check_validation",
    "class_indices",
    "class_weights",
    "classes_in",
    "classes_of",
    "training_weights",
    "weights_of",
]

Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64] | None

_LEAST_JETS_A_CLASS = 2
"""One to train on, one to validate with."""
_SHOWN = 10
"""Classes in a message."""


def classes_of(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Integers]:
    """Returns the classes, (class,), in order of their names, and the index of each label among them, (jet,).

    Raises:
        InputError: fewer than two classes, or one with too few jets to train on and to validate with.
    """
    classes, targets = np.unique(labels, return_inverse=True)
    counts = np.bincount(targets)
    if len(classes) < 2 or counts.min() < _LEAST_JETS_A_CLASS:
        found = ", ".join(f"{name}: {count}" for name, count in list(zip(classes, counts, strict=True))[:_SHOWN])
        more = f" and {len(classes) - _SHOWN} others" if len(classes) > _SHOWN else ""
        raise InputError(
            f"asked to tell classes apart; found {found or 'no jets'}{more}. Training takes at least two classes with "
            f"at least {_LEAST_JETS_A_CLASS} jets each."
        )
    return classes, targets


def classes_in(names: Any) -> npt.NDArray[Any]:
    """Returns the classes, (class,), that a file lists.

    Raises:
        ValueError: they are not at least two names or numbers, each once, in their order.
    """
    classes = np.asarray(names)
    if classes.ndim != 1 or classes.dtype.kind not in "biufU" or len(classes) < 2:
        raise ValueError(f"the classes are {str(names)[:100]}")
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"the classes {str(names)[:100]} are not in order, each once")
    return classes


def class_indices(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Integers:
    """Returns the index of each label among the classes, (jet,).

    Raises:
        InputError: a label is none of the classes.
    """
    unknown = set(labels.tolist()) - set(classes.tolist())
    if unknown:
        raise InputError(
            f"asked for the classes {', '.join(map(str, classes))}; found jets labelled "
            f"{', '.join(map(str, sorted(unknown)))}. Leave them out, or train with them."
        )
    return np.searchsorted(classes, labels)


def training_weights(
    class_weight: str | Mapping[Any, float] | None, targets: Integers, weights: Weights, *, classes: npt.NDArray[Any]
) -> Weights:
    """Returns the weight of each jet, (jet,), its class's included; None for one each.

    Args:
        class_weight: "balanced", or a weight for each class, or None.
        targets: (jet,) class indices.
        weights: (jet,) or None.
        classes: their names.

    Raises:
        InputError: not one weight for each class.
    """
    by_class = class_weights(class_weight, np.bincount(targets, minlength=len(classes)), classes=classes)
    if by_class is None:
        return weights
    by_jet = by_class[targets]
    return by_jet if weights is None else by_jet * weights


def class_weights(
    class_weight: str | Mapping[Any, float] | None, counts: Integers, *, classes: npt.NDArray[Any]
) -> Weights:
    """Returns the weight of each class, (class,); None for one each.

    Args:
        class_weight: "balanced", or a weight for each class, or None.
        counts: (class,) jets of each.
        classes: their names.

    Raises:
        InputError: not one weight for each class.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        if set(class_weight) != set(classes.tolist()):
            raise InputError(
                f"asked for weights of the classes {', '.join(map(str, class_weight))}; the jets have "
                f"{', '.join(map(str, classes))}. Give one weight for each."
            )
        return np.array([class_weight[name] for name in classes.tolist()], np.float64)
    if class_weight != "balanced":
        raise InputError(f"asked for class_weight={class_weight!r}; known: 'balanced', or a weight for each class.")
    # as scikit-learn has it: each class weighs the same in all, and a jet 1 on the average
    return np.asarray(counts.sum() / (len(counts) * counts), np.float64)


def check_validation(
    targets: Integers, weights: npt.NDArray[np.floating[Any]] | None, *, classes: npt.NDArray[Any]
) -> None:
    """Refuses validation jets that cannot choose the best epoch.

    Raises:
        InputError: a class has none, or no weight, among them.
    """
    found = np.bincount(targets, weights=weights, minlength=len(classes))
    if not (found > 0).all():
        raise InputError(
            f"asked to choose the best epoch with {len(targets)} validation jets; the class "
            f"{str(classes[int(np.argmin(found))])!r} has none, or no weight, among them. Give jets of every class."
        )


def weights_of(sample_weight: Any, n_jets: int) -> npt.NDArray[np.float64] | None:
    """Returns the weights to train with, (jet,), or None.

    Raises:
        InputError: not one for each jet, or one that is not finite, or negative; or all are 0.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, ak.Array):
        sample_weight = ak.to_numpy(ak.fill_none(sample_weight, np.nan))
    weights = np.asarray(sample_weight, np.float64)
    if weights.shape != (n_jets,):
        raise InputError(f"asked for one weight for each of {n_jets} jets; found the shape {weights.shape}.")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        bad = int((~(np.isfinite(weights) & (weights >= 0))).argmax())
        raise InputError(
            f"asked for weights that are finite, not negative, not all 0; jet {bad} has {weights[bad]}. With negative "
            "weights the loss has no lower bound: train with their absolute value or without those jets, and use the "
            "weights as they are when evaluating."
        )
    return weights


def auc(
    targets: Integers, probabilities: npt.NDArray[np.float64], weights: npt.NDArray[np.floating[Any]] | None = None
) -> float:
    """Returns the area under the ROC curve; for more than two classes the mean over one-against-rest.

    Args:
        targets: (jet,) class indices; every class among them.
        probabilities: (jet, class); they are taken to sum to 1.
        weights: (jet,) or None.
    """
    from sklearn.metrics import roc_auc_score  # a tenth of a second that only training has to wait for

    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    n_classes = probabilities.shape[1]
    if n_classes == 2:
        return float(roc_auc_score(targets == 1, probabilities[:, 1], sample_weight=weights))
    labels = list(range(n_classes))
    return float(roc_auc_score(targets, probabilities, multi_class="ovr", labels=labels, sample_weight=weights))
