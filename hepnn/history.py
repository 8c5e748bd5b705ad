"""The history of a training: what `Tagger.fit` leaves behind to read, plot and store."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Trained"]


class Trained(NamedTuple):
    """What a training did.

    Attributes:
        history: values by name (``loss``, ``val_auc`` …), one an epoch.
        best_epoch: the epoch whose weights were kept, from 0.
        seconds: wall time.
        padding: share of the particle slots in training batches that was padding.
    """

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    padding: float
