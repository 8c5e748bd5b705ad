"""Clusters of Dask on this machine, for tests."""

import contextlib
import logging

import pytest

distributed = pytest.importorskip("distributed")


@contextlib.contextmanager
def local(n_workers, *, processes=False):
    """A client of workers on this machine; processes take seconds to start, and threads do for what needs no processes."""
    settings = {
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "memory_limit": None,
    }
    with (
        distributed.LocalCluster(n_workers=n_workers, processes=processes, **settings) as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        yield client
