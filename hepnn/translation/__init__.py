"""Translation: from a Keras functional model to an ONNX graph, one group of nodes for each layer.

`TRANSLATORS` says how each kind of layer is written. To add one, write a function ``(graph, layer, *values) -> value``,
which is called with what the layer is called with, and its entry here. Recurrent layers become ONNX's own operators,
which run several times as fast as the loops that general converters write.

Importing this loads Keras and the package onnx, which scoring does without.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from hepnn.errors import TaggerError
from hepnn.translation.convolutions import convolution, window_pooling
from hepnn.translation.graph import Graph, Value
from hepnn.translation.pointwise import (
    activation,
    batch_normalization,
    combination,
    dense,
    feature_scaling,
    identity,
    layer_normalization,
    leaky_relu,
    relu,
    rescaling,
    softmax,
)
from hepnn.translation.pooling import attention_pooling, global_pooling, masked_pooling
from hepnn.translation.recurrent import bidirectional, keep_first_slot, one_way
from hepnn.translation.shapes import concatenate, flatten, get_item, permute, reshape

__all__ = ["OUTPUT", "TRANSLATORS", "named_inputs", "translate"]

OUTPUT = "probabilities"
"""Name of the output."""

TRANSLATORS: dict[str, Callable[..., Value]] = {
    # hepnn's own
    "AttentionPooling": attention_pooling,
    "FeatureScaling": feature_scaling,
    "KeepFirstSlot": keep_first_slot,
    "MaskedPooling": masked_pooling,
    "PointwiseConv1D": convolution,
    # of each value, or over the last axis
    "Activation": activation,
    "BatchNormalization": batch_normalization,
    "Dense": dense,
    "LayerNormalization": layer_normalization,
    "LeakyReLU": leaky_relu,
    "ReLU": relu,
    "Rescaling": rescaling,
    "Softmax": softmax,
    # in training only
    "ActivityRegularization": identity,
    "Dropout": identity,
    "GaussianDropout": identity,
    "GaussianNoise": identity,
    "Identity": identity,
    "SpatialDropout1D": identity,
    "SpatialDropout2D": identity,
    "SpatialDropout3D": identity,
    # of several values
    "Add": combination("Add"),
    "Average": combination("Add", mean=True),
    "Concatenate": concatenate,
    "Maximum": combination("Max"),
    "Minimum": combination("Min"),
    "Multiply": combination("Mul"),
    "Subtract": combination("Sub"),
    # sequences
    "Bidirectional": bidirectional,
    "GRU": one_way,
    "LSTM": one_way,
    # images
    "AveragePooling1D": window_pooling(mean=True),
    "AveragePooling2D": window_pooling(mean=True),
    "AveragePooling3D": window_pooling(mean=True),
    "Conv1D": convolution,
    "Conv2D": convolution,
    "Conv3D": convolution,
    "GlobalAveragePooling1D": global_pooling(mean=True),
    "GlobalAveragePooling2D": global_pooling(mean=True),
    "GlobalAveragePooling3D": global_pooling(mean=True),
    "GlobalMaxPooling1D": global_pooling(mean=False),
    "GlobalMaxPooling2D": global_pooling(mean=False),
    "GlobalMaxPooling3D": global_pooling(mean=False),
    "MaxPooling1D": window_pooling(mean=False),
    "MaxPooling2D": window_pooling(mean=False),
    "MaxPooling3D": window_pooling(mean=False),
    # shapes
    "Flatten": flatten,
    "GetItem": get_item,
    "Permute": permute,
    "Reshape": reshape,
}
"""By the name of the class, which has to be Keras' or hepnn's own."""


def translate(model: Any) -> Any:
    """Returns a Keras functional model as an ``onnx.ModelProto`` with the same inputs, and one output.

    The axis of the jets, and every other whose size the model leaves open, is of any size.

    Args:
        model: from a dict of tensors to one tensor (jet, class).

    Raises:
        TaggerError: the model is not functional, or has a layer, setting or activation that is not known here.
    """
    model = getattr(model, "_functional", model)  # of a Sequential
    if not hasattr(model, "_nodes_by_depth") or len(model.outputs) != 1:
        raise TaggerError(f"the model {model.name!r} is not a functional one with one output.")
    graph = Graph()
    values = {}
    for name, tensor in named_inputs(model).items():
        graph.scope = name
        length = f"{name.removesuffix('_mask')}_length"
        shape = ["jet", *(length if size is None else size for size in tensor.shape[1:])]
        values[id(tensor)] = graph.input(name, shape=shape, dtype=tensor.dtype)
    _run(graph, model, values)
    (output,) = model.outputs
    graph.output(values[id(output)], name=OUTPUT, shape=["jet", *output.shape[1:]])
    return graph.model()


def named_inputs(model: Any) -> dict[str, Any]:
    """Returns a model's inputs by the names under which it is given them."""
    given = model.input
    if isinstance(given, Mapping):
        return dict(given)
    return {tensor.name: tensor for tensor in model.inputs}


def _nodes(model: Any) -> Iterator[Any]:
    """The calls of layers that the model is made of, each after those it needs."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def _run(graph: Graph, model: Any, values: dict[int, Value]) -> None:
    """Writes the nodes of a model; ``values`` has those of its inputs, and gets those of all its tensors."""

    def value_of(argument: Any) -> Any:
        return values[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

    for node in _nodes(model):
        layer = node.operation
        args, kwargs = keras.tree.map_structure(value_of, (node.arguments.args, node.arguments.kwargs))
        (tensor, *others) = node.outputs
        inner = getattr(layer, "_functional", layer)
        if hasattr(inner, "_nodes_by_depth"):
            within = dict(zip(map(id, inner.inputs), keras.tree.flatten(args), strict=True))
            _run(graph, inner, within)
            values[id(tensor)] = within[id(inner.outputs[0])]
        else:
            graph.scope = layer.name
            values[id(tensor)] = _translated(graph, layer, args, kwargs)
        if others:
            graph.refuse(f"gives {1 + len(others)} outputs; known is one")


def _translated(graph: Graph, layer: Any, args: Any, kwargs: Mapping[str, Any]) -> Value:
    kind = type(layer)
    if kind.__module__.partition(".")[0] not in ("keras", "hepnn") or kind.__name__ not in TRANSLATORS:
        graph.refuse(f"is a {kind.__module__}.{kind.__name__}, which has no translation to ONNX")
    translator = TRANSLATORS[kind.__name__]
    given = {name: value for name, value in kwargs.items() if value is not None and name != "training"}
    try:
        inspect.signature(translator).bind(graph, layer, *args, **given)
    except TypeError as error:
        graph.refuse(f"is called in a way that has no translation to ONNX ({error})")
    return translator(graph, layer, *args, **given)
