"""Clusters of Dask on this machine, for tests."""

import contextlib
import logging

import pytest

distributed = pytest.importorskip("distributed")


@contextlib.contextmanager
def local(n_workers):
    """A client of workers that are threads: processes take seconds to start."""
    settings = {
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "memory_limit": None,
    }
    with (
        distributed.LocalCluster(n_workers=n_workers, processes=False, **settings) as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        yield client
