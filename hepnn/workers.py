"""Workers: several processes, on one machine or many, that train one network together.

Each has the same jets and the same seed, so each deals the same batches; of every batch it takes its share, and the
gradients of all are averaged before the step. That gives what one process would have learned from the whole batch.
``TF_CONFIG`` says who takes part; `worker_of` reads it without TensorFlow, `join` connects. In a script, each process
fits the same `hepnn.Tagger`, and saves it if ``worker_of().is_chief``.

`keras.Model.fit` of Keras 3.15 fails within the scope of ``tf.distribute.MultiWorkerMirroredStrategy`` (keras-team/keras
#20585), so the strategy connects the workers and averages for them, and Keras trains in each as if it were alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import ClusterError, InputError

__all__ = ["Team", "Worker", "join", "worker_of"]

_EXAMPLE = (
    '{"cluster": {"worker": ["first.host:2222", "second.host:2222"]}, "task": {"type": "worker", "index": 0}}, with '
    "another index for each"
)

_PATIENCE = 1800.0
"""Seconds that a worker waits for another to come, or for its part; of one that died it hears within some ten."""

_REACHING = 5.0
"""Seconds that a connection may take to come about."""

_BETWEEN = 0.2
"""Seconds between two looks for those who have not come."""


class Worker(NamedTuple):
    """The place of this process among the workers.

    Attributes:
        addresses: ``host:port`` of each worker, the chief first.
        rank: which of them this process is.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"worker {self.rank + 1} of {len(self.addresses)} ({self.addresses[self.rank]})"


def worker_of(tf_config: str | None = None) -> Worker:
    """Returns the place of this process according to ``TF_CONFIG``.

    Args:
        tf_config: JSON as TensorFlow defines it: the addresses of the ``cluster``'s "worker"s, and of a "chief" if there
            is one, and the "type" and "index" of this ``task``; the environment variable if None.

    Raises:
        InputError: it is missing or makes no sense.

    >>> str(worker_of('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'))
    'worker 2 of 2 (b:1)'
    """
    text = os.environ.get("TF_CONFIG") if tf_config is None else tf_config
    asked = "asked to train on several workers"
    if not text:
        raise InputError(f"{asked}; the environment variable TF_CONFIG is not set. Set it in each to {_EXAMPLE}.")
    try:
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        places = [(job, i) for job in ("chief", "worker") for i in range(len(cluster.get(job, ())))]
        addresses = tuple(cluster[job][i] for job, i in places)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{asked}; found TF_CONFIG={text!r}, which does not say who they are. Try {_EXAMPLE}."
        ) from error
    if len(set(addresses)) < max(len(addresses), 1) or not all(
        re.fullmatch(r"\S+:\d+", str(each)) for each in addresses
    ):
        raise InputError(
            f"{asked}; found the addresses {list(addresses)} in TF_CONFIG. Give each worker its own host:port."
        )
    if (kind, index) not in places:
        known = ", ".join(f"{job} {i}" for job, i in places)
        raise InputError(f"{asked}; TF_CONFIG says that this process is {kind} {index}, but knows only {known}.")
    return Worker(addresses, places.index((kind, index)))


class Team:
    """The workers, connected; every one of them has to call the same methods in the same order.

    Attributes:
        worker: this process.
    """

    def __init__(self, worker: Worker, strategy: Any) -> None:
        self.worker, self._strategy = worker, strategy

    def average(self, tensors: Sequence[Any]) -> list[Any]:
        """Returns the mean over all workers of TensorFlow's tensors of one type; None stays None.

        They travel as one, since each journey costs the time to the slowest worker and back.
        """
        import tensorflow as tf

        there = [tf.convert_to_tensor(tensor) for tensor in tensors if tensor is not None]
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in there], axis=0)
        with self._strategy.scope():  # Keras calls this within its own
            flat = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, flat, axis=None)
        parts = iter(tf.split(flat, [tf.size(tensor) for tensor in there], num=len(there)))
        shapes = iter(tf.shape(tensor) for tensor in there)
        return [None if tensor is None else tf.reshape(next(parts), next(shapes)) for tensor in tensors]

    def agreed(self, arrays: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        """Returns the mean over all workers of arrays, each in its own type.

        Raises:
            ClusterError: another worker ended.
        """
        types = [np.asarray(array).dtype for array in arrays]
        with self.reporting():
            means = self.average([np.asarray(array, np.float64) for array in arrays])
        return [np.asarray(mean).astype(kind) for mean, kind in zip(means, types, strict=True)]

    def check_same(self, parts: Mapping[str, str]) -> None:
        """Refuses to go on if the workers were told different things.

        Args:
            parts: what has to be the same everywhere, as texts by name; the names are the same everywhere.

        Raises:
            ClusterError: something is not, or another worker ended.
        """
        own = [float(int(hashlib.sha256(text.encode()).hexdigest()[:10], 16)) for text in parts.values()]
        differing = [name for name, mine, mean in zip(parts, own, self.agreed(own), strict=True) if mine != mean]
        if differing:
            raise ClusterError(
                f"{self.worker} does not have what the others have: {', '.join(differing)}. Start all of them with the "
                "same command, on the same files and checkpoint."
            )

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turns TensorFlow's error after the end of another worker into ours."""
        import tensorflow as tf

        ended = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
        try:
            yield
        except (*ended, tf.errors.InternalError, tf.errors.CancelledError) as error:
            if not isinstance(error, ended) and "ollective" not in error.message:
                raise
            raise ClusterError(
                f"{self.worker} stopped: another one ended or cannot be reached any more. Look for the error in the "
                "output of the others, then start all of them again, with the checkpoint to go on from the last epoch."
            ) from error


@functools.cache
def join() -> Team:
    """Returns the workers that ``TF_CONFIG`` names, connected, once all of them have come.

    Each process computes on one device: on a machine with several GPUs start as many workers there, and the first takes
    the first GPU.

    Raises:
        InputError: ``TF_CONFIG`` is missing or makes no sense.
        ClusterError: TensorFlow has already computed something in this process, or another does not come.
    """
    import tensorflow as tf

    worker = worker_of()
    _meet(worker)
    hosts = [address.rpartition(":")[0] for address in worker.addresses]
    try:
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            before = hosts[: worker.rank].count(hosts[worker.rank])
            tf.config.set_visible_devices(gpus[before % len(gpus)], "GPU")
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_PATIENCE)
        return Team(worker, tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
    except (RuntimeError, ValueError) as error:
        raise ClusterError(
            f"asked to train on several workers; TensorFlow was at work in this process before they met ({error}). Fit "
            "first, before anything else computes with TensorFlow or Keras."
        ) from error
    except tf.errors.OpError as error:
        raise ClusterError(
            f"{worker} cannot meet the others at {', '.join(worker.addresses)}: {error.message.splitlines()[0]}. Start all "
            "of them, and see that each host lets the others reach its port."
        ) from error


def _meet(worker: Worker) -> None:
    """Waits until all listen at their addresses; TensorFlow's own wait has no end and is deaf to Ctrl-C.

    Who has reached all others makes room for TensorFlow, which listens at the same address.
    """
    own = worker.addresses[worker.rank]
    try:
        listener = socket.create_server(("", int(own.rpartition(":")[2])), backlog=2 * len(worker.addresses))
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"{worker} cannot listen at {own}: {error}. Give it another port in the TF_CONFIG of all workers."
        ) from error
    missing = [address for address in worker.addresses if address != own]
    end = time.monotonic() + _PATIENCE
    with listener:
        while missing := [address for address in missing if not _listens(address)]:
            if time.monotonic() > end:
                raise ClusterError(
                    f"{worker} waited {_PATIENCE:.0f} s for {', '.join(missing)}. See that they run and did not end with "
                    "an error, that TF_CONFIG has their right addresses, and that their hosts let others reach the ports."
                )
            time.sleep(_BETWEEN)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACHING).close()
    except (OSError, OverflowError):
        return False
    return True
