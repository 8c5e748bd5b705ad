"""The table of epochs: a training's history in a folder of logs, for spreadsheets and for who looks on."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import keras

from hepnn.history import EPOCH_TABLE
from hepnn.staging import make_folder, staged

__all__ = ["EpochTable", "log_callbacks"]


def log_callbacks(folder: str | Path | None) -> list[keras.callbacks.Callback]:
    """Returns the Keras callbacks that log a training to ``folder``; none if it is None.

    ``epochs.csv`` has a line an epoch, those before an interruption included. Events for TensorBoard are written beside
    it if that package is installed (``pip install 'hepnn[tensorboard]'``).

    Raises:
        OutputError: the folder cannot be made.
    """
    if folder is None:
        return []
    make_folder(Path(folder))
    callbacks: list[keras.callbacks.Callback] = [EpochTable(Path(folder) / EPOCH_TABLE)]
    if importlib.util.find_spec("tensorboard") is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
    return callbacks


class EpochTable(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Writes the history as a table after each epoch, whole, so that it is that of the checkpoint whatever happened.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.history: Mapping[str, list[float]] = {}

    def begin(self, history: Mapping[str, list[float]]) -> None:
        """Takes the history, which the training adds to, and writes what it has already."""
        self.history = history
        if history:
            self.write()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Writes the table with the new epoch."""
        self.write()

    def write(self) -> None:
        """Writes the table.

        Raises:
            OutputError: it cannot be written.
        """
        rows = [
            ("epoch", *self.history),
            *((i, *row) for i, row in enumerate(zip(*self.history.values(), strict=True))),
        ]
        with staged(self.path, overwrite=True) as part:
            part.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
