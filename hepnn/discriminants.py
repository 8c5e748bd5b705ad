"""Discriminants: one number a jet out of the probabilities of its classes, high for the signal.

Three are in use: p_S/(p_S + p_B) against one background, p_S against all others, and the logarithm of p_S over a
weighted sum of backgrounds, with which ATLAS tags flavours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError, closest
from hepnn.roc import SMALLEST_PROBABILITY, binary_discriminant

__all__ = ["discriminant", "log_ratio"]

Floats = npt.NDArray[np.floating[Any]]


def log_ratio(probabilities: Floats, *, classes: Sequence[str], signal: str, fractions: Mapping[str, float]) -> Floats:
    """Returns ln(p_S / Σ f_B p_B), (jet,), the Σ over the backgrounds B with their fractions f_B.

    For b-jets with f_c and f_light = 1 − f_c it is the discriminant of ATLAS' DL1 (arXiv:2211.16345) and GN1
    (ATL-PHYS-PUB-2022-027). Probabilities below 2.2e-16 count as that.

    Args:
        probabilities: (jet, class).
        classes: names of the columns.
        signal: the class to find.
        fractions: of each background; they are divided by their sum.

    Raises:
        InputError: a class is unknown, the signal is among the backgrounds, or a fraction is negative, or all are 0.

    >>> p = np.array([[0.7, 0.1, 0.2]])
    >>> log_ratio(p, classes=("b", "c", "light"), signal="b", fractions={"c": 0.5, "light": 0.5}).round(4).tolist()
    [1.5404]
    """
    values = np.array(list(fractions.values()), np.float64)
    if signal in fractions or not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise InputError(
            f"asked for {signal!r} against backgrounds with the fractions {dict(fractions)}; give at least one other "
            "class a fraction above 0, and none a negative one."
        )
    of_signal = _of(signal, probabilities, classes)
    background = np.stack([_of(name, probabilities, classes) for name in fractions], axis=1) @ (values / values.sum())
    return np.log(np.maximum(of_signal, SMALLEST_PROBABILITY) / np.maximum(background, SMALLEST_PROBABILITY))


def discriminant(
    probabilities: Floats,
    *,
    classes: Sequence[str],
    signal: str,
    background: str | None = None,
    fractions: Mapping[str, float] | None = None,
) -> Floats:
    """Returns the discriminant of ``signal``, (jet,): `log_ratio` with fractions, else p_S/(p_S + p_B), or p_S alone.

    Args:
        probabilities: (jet, class).
        classes: names of the columns.
        signal: the class to find.
        background: the class to reject; None for all others.
        fractions: of each background, or None.

    Raises:
        InputError: a class is unknown, or the fractions make no sense.
    """
    if fractions is not None:
        return log_ratio(probabilities, classes=classes, signal=signal, fractions=fractions)
    of_signal = _of(signal, probabilities, classes)
    return of_signal if background is None else binary_discriminant(of_signal, _of(background, probabilities, classes))


def _of(name: str, probabilities: Floats, classes: Sequence[str]) -> Floats:
    """The column of a class."""
    if name not in classes:
        raise InputError(
            f"asked for a discriminant of the class {name!r}; the classes are {', '.join(classes)}. Closest: "
            f"{closest(name, classes)}."
        )
    return np.asarray(probabilities)[:, tuple(classes).index(name)].astype(np.float64)
