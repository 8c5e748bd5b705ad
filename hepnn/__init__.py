"""hepnn: tag jets from ROOT files with convolutional and recurrent networks.

This page is the table of contents. What it names is imported when it is first used, so that ``import hepnn``, reading
files and ``hepnn --help`` never load TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepnn.baseline import BoostedTrees as BoostedTrees
    from hepnn.converting import convert as convert
    from hepnn.errors import HepnnError as HepnnError
    from hepnn.evaluation import evaluate as evaluate
    from hepnn.flattening import flat_weights as flat_weights
    from hepnn.generators import generate_quark_gluon as generate_quark_gluon
    from hepnn.generators import generate_showers as generate_showers
    from hepnn.generators import generate_toy as generate_toy
    from hepnn.generators import toy_jets as toy_jets
    from hepnn.readers import iterate_jets as iterate_jets
    from hepnn.readers import jets_of as jets_of
    from hepnn.readers import open_jets as open_jets
    from hepnn.readers import read_jets as read_jets
    from hepnn.schema import Schema as Schema
    from hepnn.schema import load_schema as load_schema
    from hepnn.shards import Shards as Shards
    from hepnn.tagger import Tagger as Tagger
    from hepnn.tagging import tag as tag
    from hepnn.throughput import bench as bench
    from hepnn.writers import write_scores as write_scores

__version__ = "0.1.0"

_HOMES = {
    "BoostedTrees": "hepnn.baseline",
    "HepnnError": "hepnn.errors",
    "Schema": "hepnn.schema",
    "Shards": "hepnn.shards",
    "Tagger": "hepnn.tagger",
    "bench": "hepnn.throughput",
    "convert": "hepnn.converting",
    "evaluate": "hepnn.evaluation",
    "flat_weights": "hepnn.flattening",
    "generate_quark_gluon": "hepnn.generators",
    "generate_showers": "hepnn.generators",
    "generate_toy": "hepnn.generators",
    "iterate_jets": "hepnn.readers",
    "jets_of": "hepnn.readers",
    "load_schema": "hepnn.schema",
    "open_jets": "hepnn.readers",
    "read_jets": "hepnn.readers",
    "tag": "hepnn.tagging",
    "toy_jets": "hepnn.generators",
    "write_scores": "hepnn.writers",
}
"""Every public name, and the module it lives in."""

__all__ = list(_HOMES)  # literal strings, by way of the dict


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hepnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
