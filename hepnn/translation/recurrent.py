"""Recurrent layers, as ONNX's own ``LSTM`` and ``GRU`` with the length of each jet's sequence.

ONNX and Keras differ in the order of the gates, in the layout of the weights, and in what they call a bias; the
formulas are the same (ONNX operators `LSTM` and `GRU`, version 14). With lengths, ONNX leaves zeros behind the last
step, as Keras does within Bidirectional, where Keras else repeats its output; what is there has to be masked out anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from hepnn import recurrent_layers
from hepnn.translation.graph import Graph, Value

__all__ = ["bidirectional", "keep_first_slot", "one_way"]

Floats = npt.NDArray[np.float32]

_ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu"}

_MERGES = ("concat", "sum", "ave", "mul")


class _Weights(NamedTuple):
    """ONNX's three arrays, each for one direction: (gates · units, input), (gates · units, units), (2 · gates · units)."""

    kernel: Floats
    recurrent: Floats
    bias: Floats


def _gru(layer: Any) -> tuple[_Weights, dict[str, Any]]:
    """The gates are z, r, h in both; with ``reset_after`` the bias has a row for each of the two products."""
    bias = np.zeros((2, 3 * layer.units), np.float32)
    if layer.use_bias:
        rows = np.asarray(layer.cell.bias)
        bias[: rows.ndim] = rows
    kernel, recurrent = (np.asarray(part).T for part in (layer.cell.kernel, layer.cell.recurrent_kernel))
    return _Weights(kernel, recurrent, bias.ravel()), {"linear_before_reset": int(layer.reset_after)}


def _lstm(layer: Any) -> tuple[_Weights, dict[str, Any]]:
    """The gates are i, f, c, o in Keras and i, o, f, c in ONNX; Keras has one bias, ONNX a second."""
    units = layer.units
    order = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in (0, 3, 1, 2)])
    kernel, recurrent = (np.asarray(part).T[order] for part in (layer.cell.kernel, layer.cell.recurrent_kernel))
    bias = np.zeros(8 * units, np.float32)
    if layer.use_bias:
        bias[: 4 * units] = np.asarray(layer.cell.bias)[order]
    return _Weights(kernel, recurrent, bias), {}


_CELLS: dict[type, tuple[str, Callable[[Any], tuple[_Weights, dict[str, Any]]]]] = {
    keras.layers.GRU: ("GRU", _gru),
    keras.layers.LSTM: ("LSTM", _lstm),
    recurrent_layers.GRU: ("GRU", _gru),
    recurrent_layers.LSTM: ("LSTM", _lstm),
}


def keep_first_slot(graph: Graph, layer: Any, mask: Value) -> Value:
    """`hepnn.layers.KeepFirstSlot`."""
    n_slots = graph.add("Gather", graph.add("Shape", mask, rank=1), np.array(1), axis=0, rank=0)
    slots = graph.add("Range", np.array(0), n_slots, np.array(1), rank=1)
    kept = graph.add("Or", mask, graph.add("Equal", slots, np.array(0)))
    return replace(kept, never_empty=True)


def one_way(graph: Graph, layer: Any, values: Value, mask: Value | None = None) -> Value:
    """A GRU or LSTM, of Keras or of `hepnn.recurrent_layers`, read forwards."""
    if layer.go_backwards:
        graph.refuse("reads backwards on its own; known is that within Bidirectional")
    sequence, last = _read(graph, [layer], values, mask, direction="forward")
    last = graph.add("Squeeze", last, np.array([0]), rank=2)
    if not layer.return_sequences:
        return last
    outputs = graph.add("Transpose", graph.add("Squeeze", sequence, np.array([1]), rank=3), perm=[1, 0, 2])
    return outputs if mask is None else replace(outputs, last=(mask, last))


def bidirectional(graph: Graph, layer: Any, values: Value, mask: Value | None = None) -> Value:
    """`keras.layers.Bidirectional` around a GRU or LSTM, as `one_way`."""
    if layer.merge_mode not in _MERGES:
        graph.refuse(f"joins its directions by {layer.merge_mode!r}; known: {', '.join(_MERGES)}")
    sequence, last = _read(graph, [layer.forward_layer, layer.backward_layer], values, mask, direction="bidirectional")
    # from (particle, direction, jet, feature) and (direction, jet, feature)
    if layer.return_sequences:
        sequence = graph.add("Transpose", sequence, perm=[2, 0, 1, 3])
        return _merged(graph, sequence, layer.merge_mode)
    return _merged(graph, graph.add("Transpose", last, perm=[1, 0, 2]), layer.merge_mode)


def _merged(graph: Graph, values: Value, how: str) -> Value:
    """Both directions as one, from (jet, …, direction, feature)."""
    if how == "concat":
        return graph.add("Reshape", values, np.array([*[0] * (values.rank - 2), -1]), rank=values.rank - 1)
    axis = values.rank - 2
    forward, backward = (
        graph.add("Gather", values, np.array(number), axis=axis, rank=values.rank - 1) for number in (0, 1)
    )
    joined = graph.add("Mul" if how == "mul" else "Add", forward, backward)
    return graph.add("Mul", joined, 0.5) if how == "ave" else joined


def _read(
    graph: Graph, layers: Sequence[Any], values: Value, mask: Value | None, *, direction: str
) -> tuple[Value, Value]:
    """The outputs of all steps, (particle, direction, jet, feature), and of the last, (direction, jet, feature)."""
    kinds = {type(layer) for layer in layers}
    if len(kinds) > 1 or not kinds <= _CELLS.keys():
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        graph.refuse(f"is made of {found}; known are GRU and LSTM, the same both ways")
    for layer in layers:
        for setting in ("stateful", "return_state"):
            if getattr(layer, setting, False):
                graph.refuse(f"has the setting {setting}")
    units = {layer.units for layer in layers}
    if len(units) > 1:
        graph.refuse(f"has different widths both ways: {sorted(units)}")
    operator, convert = _CELLS[kinds.pop()]
    parts, settings = zip(*map(convert, layers), strict=True)
    lengths = None if mask is None else _lengths(graph, mask)
    sequence, last = graph.add_many(
        operator,
        graph.add("Transpose", values, perm=[1, 0, 2]),
        *(np.stack(arrays) for arrays in zip(*parts, strict=True)),
        lengths,
        ranks=[4, 3],
        hidden_size=units.pop(),
        direction=direction,
        activations=[name for layer in layers for name in _activations(graph, layer, operator)],
        **settings[0],
    )
    if mask is None or mask.never_empty:
        return sequence, last
    some = graph.cast(graph.add("ReduceMax", graph.cast(mask, "int32"), axes=[1], keepdims=1), "bool")
    return graph.add("Where", some, sequence, 0.0, rank=4), graph.add("Where", some, last, 0.0, rank=3)


def _lengths(graph: Graph, mask: Value) -> Value:
    """Particles of each jet, (jet,) int32; 1 where there are none, since a sequence of ONNX has a step at least."""
    # as float32, since ONNX Runtime adds whole numbers up one by one
    counts = graph.add("ReduceSum", graph.cast(mask, "float32"), np.array([1]), keepdims=0, rank=1)
    lengths = graph.cast(counts, "int32")
    return lengths if mask.never_empty else graph.add("Max", lengths, np.array(1, np.int32))


def _activations(graph: Graph, layer: Any, operator: str) -> list[str]:
    """ONNX's names of a layer's activations: for the gates, for the candidate, and for LSTM's output."""
    names = [function.__name__ for function in (layer.recurrent_activation, layer.activation)]
    for name in names:
        if name not in _ACTIVATIONS:
            graph.refuse(f"has the activation {name!r}; known: {', '.join(_ACTIVATIONS)}")
    gates, candidate = (_ACTIVATIONS[name] for name in names)
    return [gates, candidate] if operator == "GRU" else [gates, candidate, candidate]
