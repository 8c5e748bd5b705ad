"""An ONNX graph while it is written: its inputs, constants and nodes, and the values that go between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hepnn.errors import TaggerError

__all__ = ["IR_VERSION", "OPSET", "Graph", "Value"]

OPSET = 17
"""The oldest set of operators with LayerNormalization; ONNX Runtime reads it from 1.12 (2022) on."""

IR_VERSION = 8
"""The file format that goes with that set; an older runtime refuses a newer one."""

_TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "bool": onnx.TensorProto.BOOL,
    "int32": onnx.TensorProto.INT32,
    "int64": onnx.TensorProto.INT64,
}


@dataclass(frozen=True)
class Value:
    """What goes from node to node.

    Attributes:
        name: in the graph.
        rank: number of axes, that of the jets included.
        never_empty: of a mask, whether the first slot of every jet is known to be real.
        last: of the outputs of a recurrent layer, the mask it was read with, and the output of the last real step.
    """

    name: str
    rank: int
    never_empty: bool = False
    last: tuple[Value, Value] | None = None


class Graph:
    """Nodes in the order in which they were added; names begin with the layer that they come from.

    Attributes:
        scope: the name of the layer that is being translated.
    """

    def __init__(self) -> None:
        self.scope = ""
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._by_content: dict[Any, Value] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, *, shape: Sequence[int | str], dtype: str) -> Value:
        """Returns the value of a new input; a dimension that is a text is of any size."""
        if dtype not in _TYPES:
            self.refuse(f"is an input of the type {dtype!r}; known: {', '.join(_TYPES)}")
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], list(shape)))
        return Value(name, len(shape))

    def output(self, value: Value, *, name: str, shape: Sequence[int | str]) -> None:
        """Makes a value an output, under this name."""
        self._nodes.append(helper.make_node("Identity", [value.name], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape)))

    def constant(self, array: Any) -> Value:
        """Returns the value of a constant. What is no whole number and no bool becomes float32."""
        array = np.asarray(array, order="C")
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu" and array.dtype != np.int32:
            array = array.astype(np.int64)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._by_content:
            name = f"{self.scope}/constant_{len(self._constants)}"
            self._constants[name] = numpy_helper.from_array(array, name)
            self._by_content[key] = Value(name, array.ndim)
        return self._by_content[key]

    def add(self, operator: str, *inputs: Any, rank: int | None = None, **attributes: Any) -> Value:
        """Returns the output of a new node.

        Args:
            operator: its ONNX name.
            inputs: values, or arrays and numbers, which become constants; None for an optional input that is left out.
            rank: of the output; that of the first input if None.
            attributes: of the operator.
        """
        return self.add_many(operator, *inputs, ranks=[rank], **attributes)[0]

    def add_many(self, operator: str, *inputs: Any, ranks: Sequence[int | None], **attributes: Any) -> list[Value]:
        """Returns the outputs of a new node, as many as ``ranks``; else as `add`."""
        values = [each if isinstance(each, Value | None) else self.constant(each) for each in inputs]
        name = f"{self.scope}/{operator}_{len(self._nodes)}"
        names = [f"{name}:{number}" if len(ranks) > 1 else name for number in range(len(ranks))]
        arguments = ["" if value is None else value.name for value in values]
        self._nodes.append(helper.make_node(operator, arguments, names, name=name, **attributes))
        default = values[0].rank if values[0] is not None else 0
        return [Value(each, default if rank is None else rank) for each, rank in zip(names, ranks, strict=True)]

    def cast(self, value: Value, dtype: str) -> Value:
        """Returns the value as another type, named as NumPy names it."""
        return self.add("Cast", value, to=_TYPES[dtype])

    def refuse(self, why: str) -> NoReturn:
        """Refuses the layer that is being translated.

        Raises:
            TaggerError: always; the message names the layer, and goes on with ``why``.
        """
        raise TaggerError(f"the layer {self.scope!r} {why}.")

    def model(self) -> Any:
        """Returns the whole as an ``onnx.ModelProto``, without what no output depends on."""
        needed = {output.name for output in self._outputs}
        kept = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                if len(node.output) > 1:  # a recurrent one, whose outputs are optional: it saves writing all steps
                    node.output[:] = [name if name in needed else "" for name in node.output]
                needed.update(node.input)
                kept.append(node)
        constants = [constant for name, constant in self._constants.items() if name in needed]
        graph = helper.make_graph(kept[::-1], "hepnn", self._inputs, self._outputs, constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hepnn"
        )
