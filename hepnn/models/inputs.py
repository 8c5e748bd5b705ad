"""What goes into a network: Keras inputs, made from the description of its tensors, and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hepnn.errors import InputError
from hepnn.tensors import JET, TensorSpec

__all__ = ["ImageInputs", "Inputs", "cloud_inputs", "image_inputs"]


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
    """Returns the Keras inputs for particle clouds, scaled.

    Raises:
        InputError: a tensor has the axes of an image.
    """
    import keras

    from hepnn.layers import FeatureScaling

    tensors: dict[str, Any] = {}
    sequences: dict[str, tuple[Any, Any]] = {}
    jet = None
    for name, spec in specs.items():
        if len(spec.shape) > 2:
            raise InputError(
                f"asked for clouds of particles; {name!r} has the shape {spec.shape} of an image. Choose the representation "
                "'cloud', or a model of images: cnn2d, resnet2d, cnn3d, convlstm."
            )
        values = tensors[name] = keras.Input(spec.shape, name=name)
        scale = FeatureScaling(*spec.scaling, dtype="float32", name=f"{name}_scaling")
        if name == JET:
            jet = scale(values)
        else:
            mask = tensors[f"{name}_mask"] = keras.Input((None,), dtype="bool", name=f"{name}_mask")
            sequences[name] = (scale(values, mask), mask)
    return Inputs(tensors, sequences, jet)


class ImageInputs(NamedTuple):
    """Keras tensors to build on.

    Attributes:
        tensors: what the model takes, by name, as described.
        images: by name, scaled, channels last.
    """

    tensors: dict[str, Any]
    images: dict[str, Any]


def image_inputs(specs: Mapping[str, TensorSpec], *, n_axes: int) -> ImageInputs:
    """Returns the Keras inputs for images, scaled.

    Args:
        specs: the description of each tensor.
        n_axes: without the jet axis: 3 for images (eta, phi, channel), 4 for volumes and sequences of images.

    Raises:
        InputError: a tensor has another number of axes, or an axis of any length.
    """
    import keras

    from hepnn.layers import FeatureScaling

    tensors: dict[str, Any] = {}
    images: dict[str, Any] = {}
    for name, spec in specs.items():
        if len(spec.shape) != n_axes or None in spec.shape:
            raise InputError(
                f"asked for images with {n_axes} axes beside that of the jets; {name!r} has the shape {spec.shape}. Choose "
                "the representation 'jet-image' or 'calo-image' (and its layout), 'auto', or another model."
            )
        values = tensors[name] = keras.Input(spec.shape, name=name)
        if spec.channel_axis not in (-1, n_axes - 1):
            others = (axis + 1 for axis in range(n_axes) if axis != spec.channel_axis)
            values = keras.layers.Permute((*others, spec.channel_axis + 1), name=f"{name}_channels_last")(values)
        images[name] = FeatureScaling(*spec.scaling, dtype="float32", name=f"{name}_scaling")(values)
    return ImageInputs(tensors, images)
