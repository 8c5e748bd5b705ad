"""What goes into a network: the description of its tensors, and the Keras inputs made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hepnn.scaling import Scaling

__all__ = ["JET", "Inputs", "TensorSpec", "cloud_inputs"]

JET = "jet"
"""Name of the tensor of features of the jet as a whole."""


class TensorSpec(NamedTuple):
    """One input tensor.

    Attributes:
        shape: without the jet axis; (None, feature) for a sequence of any length.
        scaling: of the last axis.
        hardest_first: whether a sequence begins with the particles of highest pt.
    """

    shape: tuple[int | None, ...]
    scaling: Scaling
    hardest_first: bool = True


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
