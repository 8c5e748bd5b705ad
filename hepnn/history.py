"""The history of a training: what `Tagger.fit` leaves behind to read, plot and store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["EPOCH_TABLE", "Trained", "trained_from"]

EPOCH_TABLE = "epochs.csv"
"""Name of the file that has the history in a folder of logs."""


class Trained(NamedTuple):
    """What a training did.

    Attributes:
        history: values by name (``loss``, ``val_auc`` …), one an epoch.
        best_epoch: the epoch whose weights were kept, from 0.
        seconds: wall time, of all runs of a training that was interrupted.
        padding: share of the particle slots in training batches that was padding, in the last epoch.
        n_truncated: by collection, how many training jets lost particles to the limits of the representation.
    """

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    padding: float
    n_truncated: dict[str, int]


def trained_from(about: Mapping[str, Any]) -> Trained:
    """Returns what a file says that a training did.

    Args:
        about: the attributes by name, as JSON holds them.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: it says something else.
    """
    return Trained(
        {str(name): list(map(float, values)) for name, values in about["history"].items()},
        int(about["best_epoch"]),
        float(about["seconds"]),
        float(about["padding"]),
        {str(name): int(n) for name, n in about["n_truncated"].items()},
    )
