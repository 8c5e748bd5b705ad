"""Precision: a network that scores with fewer bits, faster and not quite as exactly.

Dynamic quantisation (Jacob et al. 2018, arXiv:1712.05877) keeps weights as 8-bit integers, takes what goes into each
matrix product to 8 bits as it comes, and gives the product back as float32. The 8 bits span what comes of a whole batch,
so that a score depends a little on the jets that are scored with it, by up to 0.005 (measured). How much faster that is,
and what it costs in AUC, depends on the network and the processor: ``hepnn bench --precision int8`` measures both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hepnn.errors import InputError

__all__ = ["PRECISIONS", "check_precision", "lowered"]

PRECISIONS = ("float32", "int8")

_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Tells ONNX Runtime that the graph is as simple as it gets, which hepnn's translation is; it warns otherwise."""


def check_precision(precision: str) -> None:
    """Refuses an unknown precision.

    Raises:
        InputError: it is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise InputError(f"asked for the precision {precision!r}; known: {', '.join(PRECISIONS)}.")


def lowered(content: bytes, *, precision: str) -> bytes:
    """Returns an ONNX model that computes the same with fewer bits.

    Args:
        content: an ONNX model in float32.
        precision: one of `PRECISIONS`; "float32" changes nothing.

    Raises:
        InputError: an unknown precision.
    """
    check_precision(precision)
    if precision == "float32":
        return content
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_from_string(content)
    key, value = _PREPARED
    model.metadata_props.add(key=key, value=value)
    with tempfile.TemporaryDirectory(prefix="hepnn-") as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QInt8)
        return path.read_bytes()
