"""Poolings over the particles of a jet, with masks, and over the pixels of an image, without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hepnn.layers import SCORE_OF_PADDING
from hepnn.translation.graph import Graph, Value
from hepnn.translation.pointwise import matrix_product

__all__ = ["attention_pooling", "global_pooling", "masked_pooling"]

_EPSILON = 1e-7
"""What `keras.config.epsilon` is unless changed; the weights of attention sum to 1 or more where there is a particle."""


def _real(graph: Graph, mask: Value) -> Value:
    """The mask with an axis for features, (jet, particle, 1)."""
    return graph.add("Unsqueeze", mask, np.array([-1]), rank=mask.rank + 1)


def _counts(graph: Graph, mask: Value) -> Value:
    """Particles of each jet, (jet, 1), as float32: ONNX Runtime adds whole numbers up one by one."""
    return graph.add("ReduceSum", graph.cast(mask, "float32"), np.array([1]), keepdims=1)


def _total(graph: Graph, values: Value) -> Value:
    """The sum over particles, (jet, feature)."""
    return graph.add("ReduceSum", values, np.array([1]), keepdims=0, rank=2)


def masked_pooling(graph: Graph, layer: Any, values: Value, mask: Value) -> Value:
    """`hepnn.layers.MaskedPooling`."""
    return _REDUCTIONS[layer.reduction](graph, values, mask)


def _sum(graph: Graph, values: Value, mask: Value) -> Value:
    return _total(graph, graph.add("Where", _real(graph, mask), values, 0.0))


def _mean(graph: Graph, values: Value, mask: Value) -> Value:
    counts = graph.add("Max", _counts(graph, mask), 1.0)
    return graph.add("Div", _sum(graph, values, mask), counts)


def _max(graph: Graph, values: Value, mask: Value) -> Value:
    highest = graph.add(
        "ReduceMax", graph.add("Where", _real(graph, mask), values, -np.inf), axes=[1], keepdims=0, rank=2
    )
    return _unless_empty(graph, highest, mask)


def _last(graph: Graph, values: Value, mask: Value) -> Value:
    """Padding is on the right, so the last particle is at the number of particles, less one."""
    if values.last is not None and values.last[0] == mask:
        return values.last[1]
    counts = graph.cast(_counts(graph, mask), "int32")
    index = graph.cast(graph.add("Sub", graph.add("Max", counts, np.int32(1)), np.int32(1)), "int64")
    return _unless_empty(graph, graph.add("GatherND", values, index, batch_dims=1, rank=2), mask)


def _unless_empty(graph: Graph, pooled: Value, mask: Value) -> Value:
    if mask.never_empty:
        return pooled
    return graph.add("Where", graph.cast(_counts(graph, mask), "bool"), pooled, 0.0)


_REDUCTIONS: dict[str, Callable[[Graph, Value, Value], Value]] = {
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "last": _last,
}


def attention_pooling(graph: Graph, layer: Any, values: Value, mask: Value) -> Value:
    """`hepnn.layers.AttentionPooling`."""
    scorer = layer.hidden
    hidden = matrix_product(graph, values, kernel=scorer.kernel, bias=scorer.bias, activation=scorer.activation)
    score = matrix_product(graph, hidden, kernel=layer.score.kernel, bias=None)
    score = graph.add("Where", _real(graph, mask), score, SCORE_OF_PADDING)
    weight = graph.add("Exp", graph.add("Sub", score, graph.add("ReduceMax", score, axes=[1], keepdims=1)))
    weight = graph.add("Where", _real(graph, mask), weight, 0.0)
    norm = graph.add("Max", _total(graph, weight), _EPSILON)
    return graph.add("Div", _total(graph, graph.add("Mul", weight, values)), norm)


def global_pooling(*, mean: bool) -> Callable[..., Value]:
    """Returns what translates `keras.layers.GlobalAveragePooling1D` and its kin, or the maximum."""

    def pooled(graph: Graph, layer: Any, values: Value, mask: Value | None = None) -> Value:
        last = layer.data_format == "channels_last"
        if mask is not None:
            if not (mean and last) or layer.keepdims:
                graph.refuse("pools with a mask; known is the mean over the second of three axes")
            return graph.add("Div", _sum(graph, values, mask), _counts(graph, mask))
        axes = list(range(1, values.rank - 1) if last else range(2, values.rank))
        rank = values.rank if layer.keepdims else 2
        operator = "ReduceMean" if mean else "ReduceMax"
        return graph.add(operator, values, axes=axes, keepdims=int(layer.keepdims), rank=rank)

    return pooled
