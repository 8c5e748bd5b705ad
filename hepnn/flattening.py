"""Flat weights: training jets weighted so that no class can be told from another by its pT or mass alone.

A network cannot use what is distributed alike in all classes, so flat weights in (pT, mass) keep it from cutting on the
mass (`hepnn.sculpting` measures that), and from learning the spectrum of the training sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError
from hepnn.jets import as_jets, check_jets, labels_of
from hepnn.judging import column_of
from hepnn.targets import weights_of
from hepnn.working_points import bin_of

__all__ = ["flat_weights"]

_TAIL = 0.01
"""Share of all jets beyond either end of the bins; they count in the outermost."""

_MOST = 50.0
"""How many times a class's mean a weight can be: a bin with a handful of jets is not worth a batch of the others."""


def flat_weights(
    jets: ak.Array, bins: Mapping[str, int | Sequence[float]], *, y: Any = None, sample_weight: Any = None
) -> npt.NDArray[np.float64]:
    """Returns a weight for each jet, (jet,), with which each class is flat in the bins.

    In each class, all bins that have jets get the same sum of weights, but that no weight is more than 50 times the
    mean; the mean of a class stays what it was, 1 without ``sample_weight``.

    Args:
        jets: (jet,) records.
        bins: of each column (`hepnn.judging.column_of`), the number of equal bins between the 1 % and 99 % quantiles of
            all jets, or the edges. Jets beyond count in the outermost. With several columns, bins are their products.
        y: (jet,) classes; ``jets.label`` if None.
        sample_weight: (jet,) weights to start from, none negative, or None.

    Raises:
        InputError: no such column or class, edges that do not rise, or a value that is not finite.
    """
    jets = check_jets(as_jets(jets))
    labels = labels_of(jets, y)
    start = weights_of(sample_weight, len(jets))
    start = np.ones(len(jets)) if start is None else start
    if not bins:
        raise InputError("asked for flat weights; name at least one column and its bins, such as pt:10,mass:10.")
    cell = np.zeros(len(jets), np.intp)
    for name, wanted in bins.items():
        values = column_of(jets, name)
        if not np.isfinite(values).all():
            raise InputError(
                f"asked for weights flat in {name!r}; jet {int((~np.isfinite(values)).argmax())} has none."
            )
        edges = _edges(name, wanted, values)
        cell = cell * (len(edges) - 1) + bin_of(values, edges)
    classes, of_class = np.unique(labels, return_inverse=True)
    _, place = np.unique(of_class * (cell.max(initial=0) + 1) + cell, return_inverse=True)
    in_cell = np.bincount(place, start)[place]
    flat = np.divide(start, in_cell, out=np.zeros(len(jets)), where=in_cell > 0)
    for _ in range(2):  # the second time after the greatest were cut
        mean = np.bincount(of_class, flat, len(classes)) / np.bincount(of_class, start, len(classes))
        flat = np.minimum(flat / mean[of_class], _MOST * start)
    mean = np.bincount(of_class, flat, len(classes)) / np.bincount(of_class, start, len(classes))
    return np.asarray(flat / mean[of_class])


def _edges(name: str, wanted: int | Sequence[float], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if isinstance(wanted, int):
        low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
        edges = np.linspace(low, high if high > low else low + 1, wanted + 1) if wanted > 0 else np.empty(0)
    else:
        edges = np.asarray(wanted, np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"asked for the bins {wanted!r} of {name!r}; give a number from 1 on, or edges that rise.")
    return edges
