"""The history of a training: what `Tagger.fit` leaves behind to read, plot and store."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EPOCH_TABLE", "Trained"]

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
