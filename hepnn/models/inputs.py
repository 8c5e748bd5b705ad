"""What goes into a network: Keras inputs, made from the description of its tensors, and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hepnn.tensors import JET, TensorSpec

__all__ = ["Inputs", "cloud_inputs"]


class Inputs(NamedTuple):
    """Keras tensors to build on.

    Attributes:
        tensors: what the model takes, by name: every input as described, and ``<name>_mask`` for each sequence.
        sequences: by name, the scaled sequence (jet, particle, feature), zero where padded, and its mask.
        jet: the scaled jet features (jet, feature), or None.
    """

    tensors: dict[str, Any]
    sequences: dict[str, tuple[Any, Any]]
    jet: Any


def cloud_inputs(specs: Mapping[str, TensorSpec]) -> Inputs:
    """Returns the Keras inputs for particle clouds, scaled."""
    import keras

    from hepnn.layers import FeatureScaling

    tensors: dict[str, Any] = {}
    sequences: dict[str, tuple[Any, Any]] = {}
    jet = None
    for name, spec in specs.items():
        values = tensors[name] = keras.Input(spec.shape, name=name)
        scale = FeatureScaling(*spec.scaling, name=f"{name}_scaling")
        if name == JET:
            jet = scale(values)
        else:
            mask = tensors[f"{name}_mask"] = keras.Input((None,), dtype="bool", name=f"{name}_mask")
            sequences[name] = (scale(values, mask), mask)
    return Inputs(tensors, sequences, jet)
