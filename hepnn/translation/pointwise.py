"""Dense layers, activations, scaling and sums: what works on each value or on the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from hepnn.translation.graph import Graph, Value

__all__ = [
    "ACTIVATIONS",
    "activated",
    "activation",
    "batch_normalization",
    "combination",
    "dense",
    "feature_scaling",
    "identity",
    "layer_normalization",
    "leaky_relu",
    "matrix_product",
    "relu",
    "rescaling",
    "softmax",
]

ACTIVATIONS: dict[str, Callable[[Graph, Value], Value]] = {
    "linear": lambda graph, x: x,
    "relu": lambda graph, x: graph.add("Relu", x),
    "tanh": lambda graph, x: graph.add("Tanh", x),
    "sigmoid": lambda graph, x: graph.add("Sigmoid", x),
    "softmax": lambda graph, x: graph.add("Softmax", x, axis=-1),
    "log_softmax": lambda graph, x: graph.add("LogSoftmax", x, axis=-1),
    "elu": lambda graph, x: graph.add("Elu", x),
    "selu": lambda graph, x: graph.add("Selu", x),
    "softplus": lambda graph, x: graph.add("Softplus", x),
    "softsign": lambda graph, x: graph.add("Softsign", x),
    "exponential": lambda graph, x: graph.add("Exp", x),
    "silu": lambda graph, x: graph.add("Mul", x, graph.add("Sigmoid", x)),
    "gelu": lambda graph, x: graph.add(
        "Mul", graph.add("Mul", x, 0.5), graph.add("Add", graph.add("Erf", graph.add("Div", x, math.sqrt(2))), 1.0)
    ),
    "relu6": lambda graph, x: graph.add("Clip", x, 0.0, 6.0),
    "leaky_relu": lambda graph, x: graph.add("LeakyRelu", x, alpha=0.2),
    "hard_sigmoid": lambda graph, x: graph.add("HardSigmoid", x, alpha=1 / 6, beta=0.5),
}
"""The functions of `keras.activations`, with the numbers that are their defaults there."""


def activated(graph: Graph, values: Value, function: Any) -> Value:
    """Returns a Keras activation of the values; None is no activation.

    Raises:
        TaggerError: not one of `ACTIVATIONS`.
    """
    if function is None:
        return values
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS or getattr(keras.activations, name, None) is not function:
        graph.refuse(f"has the activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name](graph, values)


def matrix_product(graph: Graph, values: Value, *, kernel: Any, bias: Any, activation: Any = None) -> Value:
    """Returns the activation of values · kernel + bias over the last axis; none if it is None.

    All axes but the last are taken as one meanwhile, so that ONNX Runtime computes product, bias and activation at once.
    """
    kernel = np.asarray(kernel)
    table = values if values.rank == 2 else graph.add("Reshape", values, np.array([-1, kernel.shape[0]]), rank=2)
    product = graph.add("Gemm", table, kernel, *(() if bias is None else (np.asarray(bias),)))
    product = activated(graph, product, activation)
    if values.rank == 2:
        return product
    places = graph.add("Shape", values, end=-1, rank=1)
    shape = graph.add("Concat", places, np.array([kernel.shape[1]]), axis=0)
    return graph.add("Reshape", product, shape, rank=values.rank)


def dense(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Dense`."""
    return matrix_product(graph, values, kernel=layer.kernel, bias=layer.bias, activation=layer.activation)


def activation(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Activation`."""
    return activated(graph, values, layer.activation)


def relu(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.ReLU`."""
    if layer.threshold:
        graph.refuse(f"is a ReLU with the threshold {layer.threshold}")
    if layer.negative_slope:
        values = graph.add("LeakyRelu", values, alpha=float(layer.negative_slope))
        return values if layer.max_value is None else graph.add("Min", values, float(layer.max_value))
    if layer.max_value is not None:
        return graph.add("Clip", values, 0.0, float(layer.max_value))
    return graph.add("Relu", values)


def leaky_relu(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.LeakyReLU`."""
    return graph.add("LeakyRelu", values, alpha=float(layer.negative_slope))


def softmax(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Softmax` over one axis, without a mask."""
    if not isinstance(layer.axis, int):
        graph.refuse(f"is a softmax over the axes {layer.axis}; known is one axis")
    return graph.add("Softmax", values, axis=layer.axis)


def identity(graph: Graph, layer: Any, values: Value) -> Value:
    """What does something in training only."""
    return values


def rescaling(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Rescaling`."""
    scaled = graph.add("Mul", values, np.asarray(layer.scale, np.float32))
    return graph.add("Add", scaled, np.asarray(layer.offset, np.float32)) if np.any(layer.offset) else scaled


def feature_scaling(graph: Graph, layer: Any, values: Value, mask: Value | None = None) -> Value:
    """`hepnn.layers.FeatureScaling`.

    The particles of a jet are taken as one row meanwhile, with the numbers of the features repeated along it: ONNX Runtime
    works on a row at a time, and rows as short as the features of one particle take twice as long.
    """
    numbers: list[Any] = [
        np.asarray(part, np.float32) for part in (layer.center, layer.scale, layer.lower, layer.upper)
    ]
    center, scale, lower, upper = numbers
    limits = (lower[0], upper[0]) if np.ptp(lower) == np.ptp(upper) == 0 else None  # of all features
    given = values
    if mask is not None:
        n_slots = graph.add("Shape", given, start=1, end=2, rank=1)
        center, scale, lower, upper = (graph.add("Tile", part, n_slots, rank=1) for part in numbers)
        values = graph.add("Flatten", given, axis=1, rank=2)
    scaled = graph.add("Mul", graph.add("Sub", values, center), scale)
    if limits is not None:
        scaled = graph.add("Clip", scaled, *limits)  # in one pass
    else:
        scaled = graph.add("Min", graph.add("Max", scaled, lower), upper)
    if mask is None:
        return scaled
    scaled = graph.add("Reshape", scaled, graph.add("Shape", given, rank=1), rank=given.rank)
    return graph.add("Where", graph.add("Unsqueeze", mask, np.array([-1]), rank=mask.rank + 1), scaled, 0.0)


def batch_normalization(graph: Graph, layer: Any, values: Value, mask: Value | None = None) -> Value:
    """`keras.layers.BatchNormalization` as it is after training: a factor and a sum for each channel."""
    factor = 1 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.scale:
        factor = factor * np.asarray(layer.gamma)
    offset = -np.asarray(layer.moving_mean, np.float64) * factor
    if layer.center:
        offset = offset + np.asarray(layer.beta)
    shape = [1] * values.rank
    shape[layer.axis] = -1
    return graph.add("Add", graph.add("Mul", values, factor.reshape(shape)), offset.reshape(shape))


def layer_normalization(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.LayerNormalization` over the last axis."""
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if [axis % values.rank for axis in axes] != [values.rank - 1]:
        graph.refuse(f"normalises over the axes {axes}; known is the last one")
    if layer.scale:
        gamma: Any = np.asarray(layer.gamma)
    else:  # ONNX takes ones, as many as there are features
        gamma = graph.add("Expand", np.ones(1, np.float32), graph.add("Shape", values, rank=1, start=-1), rank=1)
    bias = (np.asarray(layer.beta),) if layer.center else ()
    return graph.add("LayerNormalization", values, gamma, *bias, axis=-1, epsilon=float(layer.epsilon))


def combination(operator: str, *, mean: bool = False) -> Callable[..., Value]:
    """Returns what translates a layer or operation that joins its inputs with a binary operator, one after another."""

    def combined(graph: Graph, layer: Any, *values: Any) -> Value:
        given = values[0] if isinstance(values[0], Sequence) else values  # a layer takes a list, an operator two
        parts = [each if isinstance(each, Value) else graph.constant(np.asarray(each, np.float32)) for each in given]
        rank = max(part.rank for part in parts)
        (joined, *rest) = parts
        for part in rest:
            joined = graph.add(operator, joined, part, rank=rank)
        return graph.add("Mul", joined, 1 / len(parts)) if mean else joined

    return combined
