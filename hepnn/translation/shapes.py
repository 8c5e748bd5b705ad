"""What moves values without changing them: slices, joins, flattening."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepnn.translation.graph import Graph, Value

__all__ = ["channels_first", "channels_last", "concatenate", "flatten", "get_item", "permute", "reshape"]

_END = 2**63 - 1
"""As far as there is, for ONNX's Slice."""


def get_item(graph: Graph, layer: Any, values: Value, key: Any) -> Value:
    """``values[key]``, for whole numbers, slices that rise, None and an ellipsis."""
    parts = list(key) if isinstance(key, list | tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        n_named = sum(part is not None and part is not Ellipsis for part in parts)
        parts[at : at + 1] = [slice(None)] * (values.rank - n_named)
    slices, dropped, new = [], [], []
    axis = place = 0
    for part in parts:
        if part is None:
            new.append(place)
            place += 1
            continue
        if isinstance(part, int | np.integer):
            stop = _END if part == -1 else int(part) + 1
            slices.append((axis, int(part), stop, 1))
            dropped.append(axis)
        elif isinstance(part, slice) and (part.step is None or part.step > 0):
            if part != slice(None):
                stop = _END if part.stop is None else int(part.stop)
                slices.append((axis, int(part.start or 0), stop, int(part.step or 1)))
            place += 1
        else:
            graph.refuse(f"takes {part!r} of an axis; known are whole numbers and slices that rise")
        axis += 1
    if slices:
        axes, starts, stops, steps = (np.array(column, np.int64) for column in zip(*slices, strict=True))
        values = graph.add("Slice", values, starts, stops, axes, steps)
    if dropped:
        values = graph.add("Squeeze", values, np.array(dropped), rank=values.rank - len(dropped))
    if new:
        values = graph.add("Unsqueeze", values, np.array(new), rank=values.rank + len(new))
    return values


def concatenate(graph: Graph, layer: Any, values: Sequence[Value]) -> Value:
    """`keras.layers.Concatenate`."""
    return graph.add("Concat", *values, axis=layer.axis)


def flatten(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Flatten`, which puts channels last."""
    if layer.data_format == "channels_first" and values.rank > 2:
        values = channels_last(graph, values)
    return graph.add("Flatten", values, axis=1, rank=2)


def reshape(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Reshape`."""
    shape = np.array([0, *layer.target_shape])
    return graph.add("Reshape", values, shape, rank=len(shape))


def permute(graph: Graph, layer: Any, values: Value) -> Value:
    """`keras.layers.Permute`."""
    return graph.add("Transpose", values, perm=[0, *layer.dims])


def channels_first(graph: Graph, values: Value) -> Value:
    """Returns the values with their last axis behind that of the jets."""
    return graph.add("Transpose", values, perm=[0, values.rank - 1, *range(1, values.rank - 1)])


def channels_last(graph: Graph, values: Value) -> Value:
    """Returns the values with their second axis at the end."""
    return graph.add("Transpose", values, perm=[0, *range(2, values.rank), 1])
