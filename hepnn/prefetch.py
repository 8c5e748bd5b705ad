"""Working ahead: what an iterator gives is made in a thread of its own, one item before it is needed.

Reading files and making features (NumPy, awkward) goes on in this way while ONNX Runtime, which lets go of Python's
lock, scores.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")

_PATIENCE = 1.0
"""Seconds that somebody who stops early waits for the thread to close its files."""


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Yields the items in order; while one is in use, the next is made, and no further one.

    An error in making one is raised where it would be without the thread. Who stops early, with Ctrl-C for one, does
    not wait for the item that is being made: the thread ends with it.
    """
    made: queue.SimpleQueue[tuple[list[T], BaseException | None]] = queue.SimpleQueue()
    wanted, stopped = threading.Semaphore(1), threading.Event()

    def work() -> None:
        iterator = iter(items)
        try:
            while wanted.acquire() and not stopped.is_set():
                made.put(([next(iterator)], None))
        except StopIteration:
            made.put(([], None))
        except BaseException as error:  # noqa: BLE001  # raised again by who waits for the item
            made.put(([], error))
        finally:
            if close := getattr(iterator, "close", None):
                close()

    thread = threading.Thread(target=work, name="hepnn-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if not item:
                return
            wanted.release()
            yield item.pop()
    finally:
        stopped.set()
        wanted.release()
        thread.join(_PATIENCE)
