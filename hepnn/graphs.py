"""Graphs: what an ONNX model may hold, looked up in its bytes before anything opens it.

A network that hepnn writes is a plain list of operators: none has a graph of its own, and the model has no functions.
Then every operator is worked out once, and scoring ends; a loop in a model of somebody else's need not.

ONNX files are messages of Protocol Buffers: fields with a number, a kind and a value
(https://protobuf.dev/programming-guides/encoding); their numbers are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Read here without the package onnx, which scoring does not load.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["refuse_loops"]

_GRAPH, _FUNCTIONS = 7, 25
"""Of a ModelProto."""
_NODE = 1
"""Of a GraphProto."""
_OPERATOR, _ATTRIBUTE = 4, 5
"""Of a NodeProto."""
_ITS_GRAPHS = (6, 11)
"""Of an AttributeProto: a graph, several graphs."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""Kinds of values."""

_MAX_VARINT = 10
"""Bytes of the longest number."""


def refuse_loops(content: bytes) -> None:
    """Refuses an ONNX model with an operator that has a graph of its own, such as Loop, or with functions.

    Raises:
        ValueError: there is one; or these are not the bytes of such a model.
    """
    for number, model_part in _messages(memoryview(content)):
        if number == _FUNCTIONS:
            raise ValueError("it has functions of its own, which no network of hepnn's has")
        if number != _GRAPH:
            continue
        for kind, node in _messages(model_part):
            if kind != _NODE:
                continue
            parts = list(_messages(node))
            for part, attribute in parts:
                if part == _ATTRIBUTE and any(each in _ITS_GRAPHS for each, _ in _messages(attribute)):
                    name = b"".join(bytes(value) for of, value in parts if of == _OPERATOR).decode(errors="replace")
                    raise ValueError(f"its operator {name!r} has a graph of its own, which none of hepnn's has")


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields number and content of each field that has bytes; the others are numbers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key >> 32:  # readers that keep 32 bits would take it for another
            raise ValueError(f"byte {at} is not as in an ONNX model")
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("it ends early")
            yield number, data[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {at} is not as in an ONNX model")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, the lowest first, and where what follows begins."""
    value = 0
    for position in range(_MAX_VARINT):
        if at + position >= len(data):
            raise ValueError("it ends early")
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, at + position + 1
    raise ValueError("it has a number without an end")
