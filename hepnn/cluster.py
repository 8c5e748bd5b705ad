"""Clusters: the ranges of a `hepnn.jobs.TaggingJob` worked out by Dask's workers (the extra ``hepnn[dask]``).

Only futures of ``distributed`` are used. The job, with its tagger, is sent to each worker once, also to those that
come later; what a task is sent is a number. Rows come back to the client, so workers need to see the input files and
to have hepnn, and nothing else. When a worker dies, Dask gives its range to another one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from hepnn.errors import ClusterError, DependencyError, InputError
from hepnn.jobs import TaggingJob
from hepnn.score_rows import ScoreRows

try:
    distributed: Any = importlib.import_module("distributed")
    WorkerPlugin: Any = distributed.WorkerPlugin
except ImportError:  # `connected` says which extra is missing
    distributed, WorkerPlugin = None, object

__all__ = ["connected", "run"]

_CONNECT = "30 s"
"""How long a scheduler may take to answer."""


class _JobOnWorker(WorkerPlugin):  # type: ignore[misc]  # known only at run time
    """Brings a job to every worker, once."""

    def __init__(self, job: TaggingJob) -> None:
        self.job = job


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
            client = opened.enter_context(
                distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=None,  # ranges of entries bound it
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            )
        if not isinstance(client, distributed.Client):
            try:
                client = opened.enter_context(distributed.Client(client, timeout=_CONNECT, set_as_default=False))
            except (OSError, TimeoutError, ValueError) as error:
                raise ClusterError(
                    f"asked for the Dask scheduler at {client}; {error}. Its address looks like tcp://host:8786."
                ) from error
        yield client


def run(job: TaggingJob, indices: Iterable[int], *, client: Any) -> Iterator[tuple[int, ScoreRows]]:
    """Yields each index and its rows, in the order in which they are ready.

    Args:
        job: what is tagged.
        indices: of its ranges.
        client: a ``distributed.Client``.

    Raises:
        ClusterError: the workers cannot take the job, or died of a range several times.
        HepnnError: what the job raises, as in one process.
    """
    name = f"hepnn-tag-{secrets.token_hex(4)}"
    try:
        client.register_plugin(_JobOnWorker(job), name=name)
    except Exception as error:
        raise ClusterError(
            f"asked to hand a tagger to the workers of {client.scheduler.address}; {type(error).__name__}: {error}. They "
            "need hepnn and, where the tagger has functions of your own, the modules of those."
        ) from error
    futures = [client.submit(_rows, name, index, key=f"{name}-{index}") for index in indices]
    try:
        for _, found in distributed.as_completed(futures, with_results=True, loop=client.loop):
            yield found
    except distributed.KilledWorker as error:
        raise ClusterError(
            f"asked for {error.task}; the workers that took it died, the last at {error.last_worker.address}. Look for "
            "the reason in their logs; if it was memory, take a smaller step."
        ) from error
    finally:
        client.cancel(futures)
        client.unregister_worker_plugin(name)


def _rows(name: str, index: int) -> tuple[int, ScoreRows]:
    """Works out one range, on a worker."""
    plugin = distributed.get_worker().plugins[name]
    return index, plugin.job.rows(index)
