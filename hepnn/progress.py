"""Progress on stderr: bars for jets, a line for each epoch of a training. Results go to stdout, never through here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["console", "counting", "epoch_lines"]

console = Console(stderr=True)
"""Where everything goes that is not a result."""


@contextlib.contextmanager
def counting(what: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows a bar, and yields the function that moves it on by a number of jets."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jets"),
        TimeElapsedColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)


def epoch_lines(epochs: int) -> Any:
    """Returns a Keras callback that shows a bar within an epoch and leaves a line for each."""
    import keras

    class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
        def on_train_begin(self, logs: Any = None) -> None:
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
            )
            self.task = self.bar.add_task("training", total=None)
            self.bar.start()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()
            text = f"epoch {epoch + 1}/{epochs}"
            self.bar.reset(self.task, description=text, total=self.params["steps"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.bar.advance(self.task)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs = logs or {}
            shown = "  ".join(
                f"{name} {logs[name]:.4f}" for name in ("loss", "val_loss", "val_accuracy", "val_auc") if name in logs
            )
            console.print(
                f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}  {shown}  {time.perf_counter() - self.start:.1f} s",
                highlight=False,
            )

        def on_train_end(self, logs: Any = None) -> None:
            self.bar.stop()

    return EpochLines()
