"""Progress on stderr: bars for jets, a line for each epoch of a training. Results go to stdout, never through here."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from hepnn.guarded import printable

__all__ = ["Progress", "console", "counting", "epoch_lines", "load_tensorflow", "say"]

Progress = Callable[..., None]
"""Called with the number of jets done, and the number of all if it is known."""

console = Console(stderr=True)
"""Where everything goes that is not a result."""


def say(line: str) -> None:
    """Prints a line of text as it is, however long."""
    console.print(printable(line), highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextlib.contextmanager
def counting(what: str, *, unit: str = "jets") -> Iterator[Progress]:
    """Shows a bar, and yields the function to call with the number of jets done and, where known, of all jets."""
    bar = rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)


def load_tensorflow(*, first: Callable[[], object] | None = None) -> None:
    """Imports TensorFlow without what it writes to stderr about processors and drivers on its way in.

    ``first`` is called before TensorFlow computes anything.

    It writes that from C++ before any of its own settings can hold it back, so the stream itself is turned away.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        if first is not None:
            first()
        tf.transpose(tf.zeros((2, 2), tf.bool))  # looks for drivers and complains about booleans now, not later
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def epoch_lines(epochs: int) -> Iterator[Any]:
    """Yields a Keras callback that shows a bar within an epoch and leaves a line for each; takes the bar away at the end."""
    import keras

    bar = rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )

    class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
        def on_train_begin(self, logs: Any = None) -> None:
            self.task = bar.add_task("training", total=None)
            bar.start()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()
            text = f"epoch {epoch + 1}/{epochs}"
            bar.reset(self.task, description=text, total=self.params["steps"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            bar.update(self.task, completed=min(batch + 1, self.params["steps"]))  # some steps go by at once

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs = logs or {}
            shown = "  ".join(
                f"{name} {logs[name]:.4f}" for name in ("loss", "val_loss", "val_accuracy", "val_auc") if name in logs
            )
            say(f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}  {shown}  {time.perf_counter() - self.start:.1f} s")

    try:
        yield EpochLines()
    finally:
        bar.stop()  # also where a training is interrupted, which would leave the terminal without its cursor
