"""A network from an image to an image: an encoder that sees ever more at ever fewer places, and a decoder back.

The U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597): on its way up, the decoder is given at each size what the
encoder had there (the skips), so that what is known of the whole comes together with where exactly. It is an ordinary
Keras model for your own training; `hepnn.tasks.calo_segment` is an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from hepnn.errors import InputError
from hepnn.models.inputs import image_inputs
from hepnn.tensors import TensorSpec

__all__ = ["UPSAMPLINGS", "unet"]

UPSAMPLINGS = ("transposed", "nearest", "bilinear")
"""Ways to double an image: a transposed convolution, or interpolation and then a convolution."""


def unet(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    filters: Sequence[int] = (16, 32, 64),
    kernel: int = 3,
    skips: bool = True,
    upsampling: str = "transposed",
    activation: str = "relu",
) -> keras.Model:
    """Returns a network from an image to probabilities of each of its pixels.

    Args:
        inputs: one tensor of a `hepnn.images.JetImage` or `hepnn.calo_images.CaloImage`: images (image, η, φ, channel).
        n_classes: of a pixel.
        filters: channels at each size; the image is halved between them.
        kernel: pixels a side of the convolutions; those that halve and double have 2.
        skips: give the decoder what the encoder had at the same size.
        upsampling: one of `UPSAMPLINGS`.
        activation: of all layers but the last.

    Returns:
        A model from a dict of the tensor to probabilities, (image, η, φ, class).

    Raises:
        InputError: the input is not one image, cannot be halved so often, or the up-sampling is unknown.
    """
    if upsampling not in UPSAMPLINGS:
        raise InputError(f"asked for the up-sampling {upsampling!r}; known: {', '.join(UPSAMPLINGS)}.")
    tensors, images = image_inputs(inputs, n_axes=3)
    if len(images) != 1:
        raise InputError(f"asked for a network from one image to one; found {', '.join(images)}. Choose one of them.")
    (values,) = images.values()
    sides, halved = values.shape[1:3], 2 ** (len(filters) - 1)
    if sides[0] % halved or sides[1] % halved:
        raise InputError(
            f"asked to halve images of {sides[0]} × {sides[1]} pixels {len(filters) - 1} times; give a multiple of {halved} "
            "pixels along η and φ, or fewer filters."
        )
    settings = {"padding": "same", "activation": activation}
    passed = []
    for level, width in enumerate(filters):
        if level:
            values = keras.layers.MaxPooling2D(name=f"halved_{level}")(values)
        values = keras.layers.Conv2D(width, kernel, name=f"down_{level}", **settings)(values)
        passed.append(values)
    for level in reversed(range(len(filters) - 1)):
        values = _doubled(values, filters[level], how=upsampling, name=f"doubled_{level}", settings=settings)
        if skips:
            values = keras.layers.Concatenate(name=f"skip_{level}")([passed[level], values])
        values = keras.layers.Conv2D(filters[level], kernel, name=f"up_{level}", **settings)(values)
    values = keras.layers.Conv2D(n_classes, 1, activation="softmax", name="probabilities")(values)
    return keras.Model(tensors, values, name="unet" if skips else "no_skips")


def _doubled(values: Any, width: int, *, how: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The image with twice as many pixels along each axis."""
    if how == "transposed":
        return keras.layers.Conv2DTranspose(width, 2, strides=2, name=name, **settings)(values)
    values = keras.layers.UpSampling2D(interpolation=how, name=f"{name}_pixels")(values)
    return keras.layers.Conv2D(width, 2, name=name, **settings)(values)
