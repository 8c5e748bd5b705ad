"""Convolutions and poolings in a window. ONNX has the channels first; Keras has them last unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hepnn.translation.graph import Graph, Value
from hepnn.translation.pointwise import activated, matrix_product
from hepnn.translation.shapes import channels_first, channels_last

__all__ = ["convolution", "window_pooling"]


def convolution(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Conv1D`, `Conv2D` and `Conv3D`."""
    last = layer.data_format == "channels_last"
    if last and all(size == 1 for size in (*layer.kernel_size, *layer.strides, layer.groups)):
        kernel = np.asarray(layer.kernel).reshape(layer.kernel.shape[-2:])
        return matrix_product(graph, values, kernel=kernel, bias=layer.bias, activation=layer.activation)
    n_axes = len(layer.kernel_size)
    kernel = np.transpose(np.asarray(layer.kernel), (n_axes + 1, n_axes, *range(n_axes)))
    convolved = graph.add(
        "Conv",
        channels_first(graph, values) if last else values,
        kernel,
        *(() if layer.bias is None else (np.asarray(layer.bias),)),
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=layer.groups,
        **_padding(layer.padding, layer.kernel_size, dilations=layer.dilation_rate),
    )
    return activated(graph, channels_last(graph, convolved) if last else convolved, layer.activation)


def window_pooling(*, mean: bool) -> Callable[..., Value]:
    """Returns what translates `keras.layers.MaxPooling1D`, `AveragePooling2D` and their kin."""

    def pooled(graph: Graph, layer: Any, values: Value) -> Value:
        size = _each_axis(layer.pool_size, values.rank - 2)
        last = layer.data_format == "channels_last"
        result = graph.add(
            "AveragePool" if mean else "MaxPool",
            channels_first(graph, values) if last else values,
            kernel_shape=size,
            strides=_each_axis(layer.strides, values.rank - 2),
            **_padding(layer.padding, size, dilations=[1] * len(size)),
        )
        return channels_last(graph, result) if last else result

    return pooled


def _each_axis(number: Any, n_axes: int) -> list[int]:
    return [number] * n_axes if isinstance(number, int) else list(number)


def _padding(how: str, size: Any, *, dilations: Any) -> dict[str, Any]:
    """ONNX's attributes for Keras' padding; the odd one of "same" goes to the end."""
    reach = [step * (each - 1) for each, step in zip(size, dilations, strict=True)]
    if how == "causal":
        return {"pads": [*reach, *[0] * len(reach)]}
    if how == "valid":
        return {"pads": [0] * 2 * len(reach)}
    if any(step > 1 for step in dilations):  # Keras has no strides then, so the size does not matter
        before = [each // 2 for each in reach]
        return {"pads": [*before, *(each - first for each, first in zip(reach, before, strict=True))]}
    return {"auto_pad": "SAME_UPPER"}
