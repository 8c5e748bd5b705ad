"""Export: a tagger's network as an ONNX model, proven to give what Keras gives, with what others need to feed it.

`export` returns the bytes of the model. They are proven before anybody sees them: opened in ONNX Runtime, the inputs
compared by name, and the output compared with Keras' on batches of ragged, full, empty and one-particle jets and on a
single jet. `write_onnx` writes a tagger's model to a file of its own, and beside it ``preprocess.json``, which tells
programs in C++ (CMSSW, Athena, Triton) what to fill in.

The scaling of the features is inside the graph, so it takes raw values.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepnn import __version__
from hepnn.errors import OutputError, TaggerError
from hepnn.runtime import Session
from hepnn.scaling import Scaling
from hepnn.staging import staged
from hepnn.storage import checksum
from hepnn.tensors import Contents, TensorSpec

__all__ = ["PREPROCESS", "TOLERANCE", "export", "preprocess", "proof_batches", "prove", "write_onnx"]

TOLERANCE = 1e-5
"""How far a probability may be from Keras'."""

PREPROCESS = "preprocess.json"
"""Name of the file beside an exported model."""

_UNCHANGED = {
    "median": 0.0,
    "norm_factor": 1.0,
    "replace_inf_value": 0.0,
    "lower_bound": -1e32,
    "upper_bound": 1e32,
    "pad": 0.0,
}
"""What weaver's preprocess.json says of a feature that is to be left as it is."""

_PROOF_LENGTH = 64
"""Particles of the longest jets of the proof; more than the recurrent networks read unless told otherwise."""

_SPREAD = 3.0
"""Standard deviation of the proof's features after scaling: some beyond the limits of ±5, where values are moved."""


def export(tagger: Any) -> bytes:
    """Returns the network of a fitted tagger as a proven ONNX model.

    Its metadata are JSON, by name: ``features`` and their ``units`` (for each input, along the last axis), the ``order``
    of each sequence and the number of entries it is cut to (``lengths``), ``classes``, the ``version`` of hepnn, and the
    ``checksum`` of the weights.

    Raises:
        TaggerError: the network has a layer that is not known to the translator, or the proof failed.
    """
    from onnx import helper

    from hepnn.translation import translate

    model = translate(tagger.model_)
    contents: dict[str, Contents] = tagger.representation_.contents()
    helper.set_model_props(
        model,
        {
            name: json.dumps(value)
            for name, value in {
                "features": {name: part.features for name, part in contents.items()},
                "units": {name: part.units for name, part in contents.items()},
                "order": {name: part.order for name, part in contents.items() if part.order},
                "lengths": {name: part.max_length for name, part in contents.items() if part.max_length},
                "classes": tagger.classes_.tolist(),
                "version": __version__,
                "checksum": checksum(tagger.weights_),
            }.items()
        },
    )
    model.producer_version = __version__
    content: bytes = model.SerializeToString()
    prove(content, tagger.model_, inputs=tagger.inputs_)
    return content


def prove(content: bytes, model: Any, *, inputs: Mapping[str, TensorSpec]) -> None:
    """Refuses an ONNX model that does not give what the Keras model gives.

    Args:
        content: the ONNX model.
        model: the Keras model.
        inputs: what the networks are given.

    Raises:
        TaggerError: it cannot be opened, takes other inputs, or gives something else; the message says where.
    """
    import keras

    from hepnn.translation import named_inputs

    session = Session(content)
    needed = {name: tuple(tensor.shape[1:]) for name, tensor in named_inputs(model).items()}
    if session.inputs != needed:
        raise TaggerError(f"the ONNX model takes the inputs {session.inputs}, the Keras model {needed}.")
    for what, batch in proof_batches(inputs):
        with _full_precision():
            expected = keras.ops.convert_to_numpy(model({name: batch[name] for name in needed}, training=False))
        found = session.run(batch)
        if found.shape != expected.shape:
            raise TaggerError(f"on a batch of {what}, ONNX gives the shape {found.shape}, Keras {expected.shape}.")
        if not np.allclose(found, expected, rtol=0, atol=TOLERANCE, equal_nan=True):
            raise TaggerError(
                f"on a batch of {what}, the output of ONNX differs from Keras' by {np.abs(found - expected).max():.2g}; "
                f"allowed are {TOLERANCE}."
            )


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Has TensorFlow work with all of float32: on a GPU it rounds what is multiplied to 10 bits, unless told not to."""
    import tensorflow as tf

    rounds = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(rounds)


def proof_batches(inputs: Mapping[str, TensorSpec], *, seed: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields batches of random raw features, each with its name: full, ragged, empty and one-particle jets, a single jet.

    Args:
        inputs: what each tensor holds; a sequence has a mask besides.
        seed: of the features and lengths.
    """
    rng = np.random.default_rng(seed)
    ragged = rng.integers(0, _PROOF_LENGTH + 1, 16)
    for what, lengths in {
        "full jets": np.full(4, _PROOF_LENGTH),
        "ragged jets": ragged,
        "empty jets": np.zeros(3, np.int64),
        "jets of one particle": np.ones(3, np.int64),
        "a single jet": ragged[:1],
    }.items():
        batch: dict[str, Any] = {}
        for name, spec in inputs.items():
            is_sequence = spec.shape[0] is None
            slots = int(lengths.max(initial=1))
            shape = [slots if size is None else size for size in spec.shape]
            center, scale = (np.asarray(part) for part in (spec.scaling.center, spec.scaling.scale))
            spread = np.divide(_SPREAD, scale, out=np.ones_like(scale), where=scale != 0)
            channels_last = [n for axis, n in enumerate(shape) if axis != spec.channel_axis % len(shape)] + [
                len(center)
            ]
            values = center + spread * rng.normal(size=(len(lengths), *channels_last))
            batch[name] = np.moveaxis(values, -1, spec.channel_axis % len(shape) + 1).astype(np.float32)
            if is_sequence:
                mask = np.arange(slots) < lengths[:, None]
                batch[f"{name}_mask"] = mask
                batch[name][~mask] = 0
        yield what, batch


def write_onnx(
    tagger: Any, path: str | os.PathLike[str], *, float_masks: bool = False, overwrite: bool = False
) -> Path:
    """Returns the file that a tagger's network was written to; ``preprocess.json`` is written beside it.

    Args:
        tagger: a fitted or loaded `hepnn.Tagger`.
        path: the ONNX file.
        float_masks: let the graph take masks as float32, 1 for a real particle, for programs that know no other type.
        overwrite: replace existing files.

    Raises:
        TaggerError: not fitted, or the network cannot be written as ONNX; the message says why.
        OutputError: the file's name does not end in .onnx, a file exists and ``overwrite`` is not set, or cannot be
            written; or ``preprocess.json`` is that of another model.
    """
    target = Path(path)
    if target.suffix != ".onnx":
        raise OutputError(f"asked to write an ONNX model to {target}; give a name that ends in .onnx.")
    content = tagger.onnx_
    if content is None:
        raise TaggerError(f"asked to write the tagger's network as ONNX; {tagger.why_keras_}")
    if float_masks:
        content = _with_float_masks(content, inputs=tagger.inputs_)
    about = json.dumps({"model": target.name, **preprocess(content, inputs=tagger.inputs_)}, indent=2) + "\n"
    beside = target.with_name(PREPROCESS)
    there, other = "", target.name
    with contextlib.suppress(OSError, ValueError, AttributeError):
        there = beside.read_text()
        other = json.loads(there).get("model", other)
    if other != target.name and target.with_name(other).exists():
        raise OutputError(
            f"asked to write {target}; {beside} is about {other}, and would be about this model. Give each a folder of its own."
        )
    with staged(target, overwrite=overwrite) as part:
        part.write_bytes(content)
        if part.read_bytes() != content:
            raise OutputError(f"asked to write {target}; what was read back is not what was written. Check the disk.")
        # the same is of a run that did not come to its end
        with staged(beside, overwrite=overwrite or there == about) as part_beside:
            part_beside.write_text(about)
    return target


def _with_float_masks(content: bytes, *, inputs: Mapping[str, TensorSpec]) -> bytes:
    """The model with float32 instead of bool inputs, proven to give the same."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(content)
    renamed = {}
    for each in model.graph.input:
        if each.type.tensor_type.elem_type == onnx.TensorProto.BOOL:
            each.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            renamed[each.name] = f"{each.name}/bool"
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    casts = [helper.make_node("Cast", [old], [new], name=new, to=onnx.TensorProto.BOOL) for old, new in renamed.items()]
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    changed: bytes = model.SerializeToString()
    before, after = Session(content), Session(changed)
    for what, batch in proof_batches(inputs):
        floats = {name: array.astype(np.float32) for name, array in batch.items()}
        if not np.array_equal(after.run(floats), before.run(batch), equal_nan=True):
            raise TaggerError(f"on a batch of {what}, the network with float32 masks gives something else.")
    return changed


def preprocess(content: bytes, *, inputs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    """Returns what has to be filled into the inputs, in the form of the ``preprocess.json`` of weaver.

    The ``median`` and ``norm_factor`` of that file change nothing here, and its limits are far away, since the graph
    scales by itself; how is under ``scaling_in_graph``, as ``clip((value − center) · scale, lower, upper)``. The axes of
    a sequence are (jet, particle, feature), with padding on the right; ``var_length`` is the number of particles to cut
    to, and shorter jets need no padding up to it. In ``shape``, −1 is a free size.

    Args:
        content: a model that `export` made.
        inputs: what the network is given.
    """
    session = Session(content)
    about = {name: json.loads(text) for name, text in session.metadata.items()}
    found: dict[str, Any] = {
        "output_names": [session.output],
        "classes": about["classes"],
        "input_names": list(session.inputs),
        "hepnn": about["version"],
    }
    for name, shape in session.inputs.items():
        features = about["features"].get(name, [name])  # that of a mask is whether there is a particle
        sequence = name if name in inputs else name.removesuffix("_mask")
        found[name] = {
            "var_names": features,
            "var_infos": dict.fromkeys(features, _UNCHANGED),
            "var_length": about["lengths"].get(sequence, 1),
            "shape": [-1, *(-1 if size is None else size for size in shape)],
            "dtype": str(session.dtypes[name]),
        }
        if name in inputs:
            scaling = zip(*inputs[name].scaling, strict=True)
            found[name] |= {
                "units": dict(zip(features, about["units"][name], strict=True)),
                "order": about["order"].get(name, ""),
                "scaling_in_graph": {
                    feature: dict(zip(Scaling._fields, numbers, strict=True))
                    for feature, numbers in zip(features, scaling, strict=True)
                },
            }
    return found
