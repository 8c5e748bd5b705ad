"""Clusters: work that is cut into numbered pieces, done by Dask's workers (the extra ``hepnn[dask]``).

Only futures of ``distributed`` are used. What does the work, with the tagger that it needs, is sent to each worker
once, also to those that come later; what a task is sent is a number. Pieces come back to the client, so workers need
to see the input files and to have hepnn, and nothing else. When a worker dies, Dask gives its piece to another one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import secrets
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from hepnn.errors import ClusterError, DependencyError, InputError

try:
    distributed: Any = importlib.import_module("distributed")
    WorkerPlugin: Any = distributed.WorkerPlugin
except ImportError:  # `connected` says which extra is missing
    distributed, WorkerPlugin = None, object

__all__ = ["compute", "connected", "in_order", "run"]

T = TypeVar("T")

_CONNECT = "30 s"
"""How long a scheduler may take to answer."""

_ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d+(/\S*)?|inproc://\S+")
"""Of a scheduler. A client of Dask that is given anything else takes a minute to give up."""


class _WorkOnWorker(WorkerPlugin):  # type: ignore[misc]  # known only at run time
    """Brings what does the work to every worker, once."""

    def __init__(self, work: Callable[[int], Any]) -> None:
        self.work = work


@contextlib.contextmanager
def connected(client: Any = None, *, workers: int | None = None) -> Iterator[Any]:
    """Yields a client of Dask, and closes what it started.

    Args:
        client: a ``distributed.Client``, which is left open, or the address of a scheduler.
        workers: processes to start on this machine instead, each with one thread.

    Raises:
        InputError: both, neither, or fewer than one worker.
        ClusterError: no scheduler answers.
        DependencyError: ``distributed`` is missing.
    """
    if distributed is None:
        raise DependencyError(
            "asked for Dask; the package distributed is missing. Install it with pip install 'hepnn[dask]'."
        )
    if (client is None) == (workers is None):
        raise InputError(f"asked for client={client!r} and workers={workers!r}; give one of them.")
    if workers is not None and workers < 1:
        raise InputError(f"asked for {workers} workers; it takes at least 1.")
    with contextlib.ExitStack() as opened:
        if workers is not None:
            opened.enter_context(_environment_kept())
            with _interrupts_held_back():
                client = opened.enter_context(
                    distributed.LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        memory_limit=None,  # ranges of entries bound it
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.CRITICAL,
                    )
                )
        if isinstance(client, str) and not _ADDRESS.fullmatch(client):
            raise ClusterError(
                f"asked for the Dask scheduler at {client!r}, which is no address. Its address looks like tcp://host:8786."
            )
        if not isinstance(client, distributed.Client):
            opened.enter_context(_quiet(logging.getLogger("distributed.client")))  # a ClusterError says it
            try:
                client = opened.enter_context(distributed.Client(client, timeout=_CONNECT, set_as_default=False))
            except (OSError, TimeoutError, ValueError) as error:
                raise ClusterError(
                    f"asked for the Dask scheduler at {client}; {error}. Its address looks like tcp://host:8786."
                ) from error
        yield client


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Takes back what distributed tells its workers by the environment of this process, ``OMP_NUM_THREADS=1`` for one."""
    names = ("PYTHONHASHSEED", *distributed.config["distributed"]["nanny"]["pre-spawn-environ"])
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keeps Ctrl-C and SIGTERM until the end, and from the processes that start within, for good.

    Terminals and batch systems send them to all processes; workers are ended by the one that started them, without a
    traceback.
    """
    resource_tracker.ensure_running()  # to start it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def compute(
    work: Callable[[int], T], indices: Iterable[int], *, client: Any = None, workers: int | None = None
) -> Generator[tuple[int, T], None, None]:
    """Yields each index and its piece, as `run` does, on what `connected` gives; errors of both."""
    with connected(client, workers=workers) as opened:
        yield from run(work, indices, client=opened)


def run(work: Callable[[int], T], indices: Iterable[int], *, client: Any) -> Generator[tuple[int, T], None, None]:
    """Yields each index and its piece, in the order in which they are ready; what is not wanted any more is cancelled.

    Args:
        work: makes a piece; a function, or a method of what can be pickled.
        indices: of the pieces.
        client: a ``distributed.Client``.

    Raises:
        ClusterError: the workers cannot take the work, or died of a piece several times; or the scheduler is gone.
        HepnnError: what the work raises, as in one process.
    """
    name, address = f"hepnn-{secrets.token_hex(4)}", client.scheduler.address
    try:
        client.register_plugin(_WorkOnWorker(work), name=name)
    except Exception as error:
        raise ClusterError(
            f"asked to hand work to the workers of {address}; {type(error).__name__}: {error}. They need "
            "hepnn and, where a tagger has functions of your own, the modules of those."
        ) from error
    futures = {client.submit(_piece, name, index, key=f"{name}-{index}") for index in indices}
    try:
        # pieces are fetched one by one, and forgotten: together they can be more than fits in memory
        for future in distributed.as_completed(futures, loop=client.loop):
            found = future.result()
            futures.discard(future)
            future.release()
            yield found
    except distributed.KilledWorker as error:
        raise ClusterError(
            f"asked for {error.task}; the workers that took it died, the last at {error.last_worker.address}. Look for "
            "the reason in their logs; if it was memory, take a smaller step."
        ) from error
    except distributed.client.CancelledError as error:
        raise ClusterError(
            f"asked the Dask scheduler at {address} for results; {str(error).partition(chr(10))[0]} Give the same command again "
            "once it is back."
        ) from error
    finally:
        if client.status == "running":
            client.cancel(list(futures))
            client.unregister_worker_plugin(name)


def in_order(found: Iterable[tuple[int, T]]) -> Iterator[T]:
    """Yields the pieces 0, 1, 2 … in order, each when it and all before it are there."""
    waiting: dict[int, T] = {}
    n_done = 0
    for index, piece in found:
        waiting[index] = piece
        while n_done in waiting:
            yield waiting.pop(n_done)
            n_done += 1


def _piece(name: str, index: int) -> tuple[int, Any]:
    """Makes one piece, on a worker."""
    plugin = distributed.get_worker().plugins[name]
    return index, plugin.work(index)
