"""Convolutional networks on images: jets and showers as pictures, volumes, or pictures one after another.

`cnn2d` is the plain stack of convolution and pooling of Komiske, Metodiev, Schwartz 2016 (arXiv:1612.01551) and of
Macaluso, Shih 2018 (arXiv:1803.00107); `resnet2d` has residual blocks (He et al. 2016, arXiv:1512.03385), as the
ResNeXt of the top-tagging comparison (Kasieczka et al. 2019, arXiv:1902.09914); `cnn3d` convolves over depth as well,
and `convlstm` keeps a state a pixel from image to image (Shi et al. 2015, arXiv:1506.04214). All end in the head of
`hepnn.models.blocks`, so that what comes before it can start another tagger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras

from hepnn.models.blocks import head
from hepnn.models.inputs import image_inputs
from hepnn.tensors import TensorSpec

__all__ = ["cnn", "cnn2d", "cnn3d", "convlstm", "resnet2d"]


def cnn(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    dimensions: int = 2,
    filters: Sequence[int] = (32, 64, 64),
    kernel: int = 3,
    flatten: bool = True,
    head_units: Sequence[int] = (128,),
    dropout: float = 0.2,
    activation: str = "relu",
) -> keras.Model:
    """Returns a tagger with convolutions, each followed by pooling over two neighbours along every axis.

    Args:
        inputs: the tensors of a `hepnn.images.JetImage` or `hepnn.calo_images.CaloImage`: images (jet, eta, phi, channel),
            or for three dimensions volumes (jet, depth, eta, phi, channel).
        n_classes: columns of the output.
        dimensions: 2 or 3.
        filters: of each convolution.
        kernel: pixels a side of every kernel.
        flatten: give the head the values at all places, which knows where they are; else their mean and maximum, which
            does not, and takes images of any size.
        head_units: widths of the dense layers behind.
        dropout: share of the head's units dropped in training.
        activation: of all layers.

    Returns:
        A model from a dict of tensors to probabilities (jet, class).

    Raises:
        InputError: the inputs have another number of axes.
    """
    tensors, images = image_inputs(inputs, n_axes=dimensions + 1)
    convolution = keras.layers.Conv2D if dimensions == 2 else keras.layers.Conv3D
    parts = []
    for name, values in images.items():
        for layer, width in enumerate(filters):
            settings = {"padding": "same", "activation": activation, "name": f"{name}_conv_{layer}"}
            values = _pooled(convolution(width, kernel, **settings)(values), name=f"{name}_pool_{layer}")
        parts += _read_out(values, flatten=flatten, name=name)
    output = head(parts, widths=head_units, dropout=dropout, activation=activation, n_classes=n_classes)
    return keras.Model(tensors, output, name=f"cnn{dimensions}d")


cnn2d = partial(cnn, dimensions=2)
cnn3d = partial(cnn, dimensions=3, filters=(16, 32, 32), head_units=(64,))


def resnet2d(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    filters: Sequence[int] = (16, 32, 64),
    blocks: int = 2,
    head_units: Sequence[int] = (),
    dropout: float = 0.0,
    activation: str = "relu",
) -> keras.Model:
    """Returns a tagger of images with residual blocks: what a block learns is added to what it was given.

    Each block is normalisation, activation, convolution, twice (He et al. 2016b, arXiv:1603.05027); the first of each
    stage but the first halves the image. The mean over all places goes to the head.

    Args:
        inputs: as for `cnn`, in two dimensions.
        n_classes: columns of the output.
        filters: of each stage.
        blocks: residual blocks a stage.
        head_units: widths of the dense layers behind.
        dropout: share of the head's units dropped in training.
        activation: of all layers.

    Returns:
        A model from a dict of tensors to probabilities (jet, class).

    Raises:
        InputError: the inputs are no images.
    """
    tensors, images = image_inputs(inputs, n_axes=3)
    parts = []
    for name, values in images.items():
        values = keras.layers.Conv2D(filters[0], 3, padding="same", name=f"{name}_stem")(values)
        for stage, width in enumerate(filters):
            for block in range(blocks):
                values = _residual(
                    values,
                    width,
                    strides=2 if stage and not block else 1,
                    activation=activation,
                    name=f"{name}_{stage}_{block}",
                )
        values = keras.layers.BatchNormalization(name=f"{name}_norm")(values)
        values = keras.layers.Activation(activation, name=f"{name}_activation")(values)
        parts.append(keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(values))
    output = head(parts, widths=head_units, dropout=dropout, activation=activation, n_classes=n_classes)
    return keras.Model(tensors, output, name="resnet2d")


def convlstm(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    filters: Sequence[int] = (16,),
    kernel: int = 3,
    head_units: Sequence[int] = (64,),
    dropout: float = 0.2,
    activation: str = "relu",
) -> keras.Model:
    """Returns a tagger of images one after another, (jet, time, eta, phi, channel): ConvLSTM layers, then pooling.

    Args:
        inputs: the tensors of a `hepnn.calo_images.CaloImage` with the layout "time".
        n_classes: columns of the output.
        filters: of each ConvLSTM layer.
        kernel: pixels a side of every kernel.
        head_units: widths of the dense layers behind.
        dropout: share of the head's units dropped in training.
        activation: of the dense layers.

    Returns:
        A model from a dict of tensors to probabilities (jet, class).

    Raises:
        InputError: the inputs are no sequences of images.
    """
    tensors, images = image_inputs(inputs, n_axes=4)
    parts = []
    for name, values in images.items():
        for layer, width in enumerate(filters):
            values = keras.layers.ConvLSTM2D(
                width,
                kernel,
                padding="same",
                return_sequences=layer + 1 < len(filters),
                name=f"{name}_convlstm_{layer}",
            )(values)
        parts += _read_out(_pooled(values, name=f"{name}_pool"), flatten=True, name=name)
    output = head(parts, widths=head_units, dropout=dropout, activation=activation, n_classes=n_classes)
    return keras.Model(tensors, output, name="convlstm")


def _pooled(values: Any, *, name: str) -> Any:
    """The maximum over two neighbours along each axis that has as many; what is left over at the end is kept."""
    size = tuple(min(2, n) for n in values.shape[1:-1])
    layer = keras.layers.MaxPooling2D if len(size) == 2 else keras.layers.MaxPooling3D
    return layer(size, padding="same", name=name)(values)


def _read_out(values: Any, *, flatten: bool, name: str) -> list[Any]:
    if flatten:
        return [keras.layers.Flatten(name=f"{name}_flat")(values)]
    axes = len(values.shape) - 2
    mean, most = (getattr(keras.layers, f"Global{which}Pooling{axes}D") for which in ("Average", "Max"))
    return [mean(name=f"{name}_mean")(values), most(name=f"{name}_max")(values)]


def _residual(values: Any, width: int, *, strides: int, activation: str, name: str) -> Any:
    """One residual block; where the shape changes, a 1×1 convolution fits what is passed by."""
    changed = values
    for step, stride in enumerate((strides, 1)):
        changed = keras.layers.BatchNormalization(name=f"{name}_norm_{step}")(changed)
        changed = keras.layers.Activation(activation, name=f"{name}_activation_{step}")(changed)
        changed = keras.layers.Conv2D(
            width, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv_{step}"
        )(changed)
    if strides > 1 or values.shape[-1] != width:
        values = keras.layers.Conv2D(width, 1, strides=strides, name=f"{name}_shortcut")(values)
    return keras.layers.Add(name=f"{name}_sum")([values, changed])
