"""The runtime: ONNX Runtime scores jets with a network that was exported to ONNX. It loads neither TensorFlow nor Keras.

Tensors go in, probabilities come out (`Session.scores`). Jets are taken by length, so that each batch is cut to the
longest of its own jets, and the scores are put back in order. Each thread takes a whole batch: no thread waits for
another within one, and none is busy when there is nothing to score.

All processors that the process may run on are used (`hepnn.threads`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from hepnn.errors import InputError, TaggerError, closest
from hepnn.graphs import refuse_loops
from hepnn.tensors import Tensors, TensorSpec, batches_by_length
from hepnn.threads import default_threads

__all__ = ["Session"]

_SLOTS = 2048
"""Particles or pixels in a batch, padding included: few enough that what a layer gives is still in the processor's cache
when the next layer takes it (100 features of 2048 particles are 0.8 MB)."""

_LEAST_IMAGES = 8
"""Images in a batch, however many pixels they have."""

_FATAL = 4
"""ONNX Runtime's level of messages to stderr; what is wrong comes as an exception."""

_REFUSED = (
    refusals.EPFail,
    refusals.Fail,
    refusals.InvalidArgument,
    refusals.InvalidGraph,
    refusals.InvalidProtobuf,
    refusals.NoSuchFile,
    refusals.NotImplemented,
    refusals.RuntimeException,
)
"""What ONNX Runtime raises."""

_DTYPES = {"tensor(float)": np.dtype(np.float32), "tensor(bool)": np.dtype(np.bool_)}


class Session:
    """A network, ready to score.

    Args:
        content: an ONNX model with one output, (jet, class).
        threads: how many to use; `hepnn.threads.default_threads` if None.

    Attributes:
        inputs: by name, the shape of each input without the axis of the jets; None for the length of a sequence.
        dtypes: by name, the type of each input.
        output: name of the output.
        metadata: texts by name.

    Raises:
        TaggerError: ONNX Runtime cannot use the model.
        InputError: ``threads`` is less than 1.
    """

    def __init__(self, content: bytes, *, threads: int | None = None) -> None:
        threads = default_threads() if threads is None else threads
        if threads < 1:
            raise InputError(f"asked for {threads} threads; it takes at least 1.")
        self._threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        options.add_session_config_entry("session.load_model_format", "ONNX")  # and not ONNX Runtime's own
        options.enable_mem_pattern = False  # a pattern holds for one shape, and here each batch has its own
        asked = f"asked to score with an ONNX model of {len(content)} bytes"
        try:
            refuse_loops(content)
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except ValueError as error:
            raise TaggerError(f"{asked}; {error}. It is not as hepnn writes it: train again.") from error
        except _REFUSED as error:
            raise TaggerError(
                f"{asked}; ONNX Runtime {onnxruntime.__version__} refuses it: {_first_line(error)}"
            ) from error
        arguments = self._session.get_inputs()
        self.inputs: dict[str, tuple[int | None, ...]] = {
            each.name: tuple(size if isinstance(size, int) else None for size in each.shape[1:]) for each in arguments
        }
        self.dtypes = {each.name: _DTYPES.get(each.type) for each in arguments}
        outputs = self._session.get_outputs()
        shapes = [list(each.shape or ()) for each in outputs]
        if len(outputs) != 1:
            raise TaggerError(f"{asked}; its outputs are of the shapes {shapes}, not one of (jet, class). Train again.")
        self.output: str = outputs[0].name
        self._shape = shapes[0]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def check(self, inputs: Mapping[str, TensorSpec], *, n_classes: int, checksum: str) -> None:
        """Refuses a model that is not the one that belongs to a tagger.

        Args:
            inputs: what the tagger's network is given; a sequence has a mask besides.
            n_classes: how many the tagger tells apart.
            checksum: of the tagger's weights.

        Raises:
            TaggerError: it takes other inputs, gives other outputs, or was made from other weights.
        """
        there: dict[str, tuple[int | None, ...]] = {name: tuple(spec.shape) for name, spec in inputs.items()}
        there |= {f"{name}_mask": (None,) for name, shape in there.items() if shape[0] is None}
        for name, shape in self.inputs.items():
            if there.get(name) != shape:
                raise TaggerError(
                    f"the tagger's ONNX model takes {self._takes()}; the tagger gives "
                    f"{', '.join(f'{each} {size}' for each, size in there.items())}. It is the model of another tagger."
                )
        if self._n_classes != n_classes:
            raise TaggerError(
                f"the tagger's ONNX model tells {self._n_classes} classes apart, the tagger {n_classes}. It is the model of "
                "another tagger."
            )
        found = self.metadata.get("checksum", "").strip('"')  # JSON, as all metadata
        if found != checksum:
            raise TaggerError(
                f"the tagger's ONNX model was made from weights with the checksum {found[:12]}…; those of the "
                f"tagger have {checksum[:12]}…. It is the model of another tagger."
            )

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Returns the output for one batch, (jet, …).

        Args:
            inputs: arrays by name, padded; more than the network takes are left aside.

        Raises:
            TaggerError: an input is missing, or of a shape or type that the network does not take.
        """
        missing = self.inputs.keys() - inputs.keys()
        if missing:
            name = sorted(missing)[0]
            raise TaggerError(
                f"the network takes the input {name!r}; found {', '.join(inputs)}; closest: {closest(name, inputs)}. Give "
                "it the tensors of the representation that it was trained with."
            )
        try:
            (output,) = self._session.run(None, {name: inputs[name] for name in self.inputs})
        except _REFUSED as error:
            found = ", ".join(f"{name} {inputs[name].dtype} {inputs[name].shape}" for name in self.inputs)
            raise TaggerError(f"the network takes {self._takes()}; found {found}: {_first_line(error)}") from error
        return output

    def scores(self, tensors: Tensors) -> npt.NDArray[np.float32]:
        """Returns the output for every jet, (jet, class), in order.

        Raises:
            TaggerError: the tensors are not those that the network takes, or its output is no number a class for each.
        """
        output = np.empty((len(tensors), self._n_classes), np.float32)

        def score(rows: npt.NDArray[np.int64]) -> None:
            batch = self.run(tensors.pad(rows))
            if batch.shape != (len(rows), self._n_classes):
                raise TaggerError(
                    f"asked for {self._n_classes} probabilities of {len(rows)} jets; the network gave the shape "
                    f"{batch.shape}. It is not as hepnn writes it: train again."
                )
            output[rows] = batch

        slots = max(_SLOTS // self._positions, _LEAST_IMAGES)
        batches = list(batches_by_length(tensors.lengths, slots=slots))
        n_threads = min(self._threads, len(batches))
        if n_threads <= 1:
            for rows in batches:
                score(rows)
            return output
        with ThreadPoolExecutor(n_threads, "hepnn-scores") as pool:  # ONNX Runtime lets go of Python's lock
            done = [pool.submit(score, rows) for rows in batches]
            try:
                for each in done:
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)  # so that Ctrl-C waits for no further batch
                raise
        return output

    @property
    def _n_classes(self) -> int:
        """Columns of the output."""
        if len(self._shape) != 2 or not isinstance(self._shape[1], int):
            raise TaggerError(
                f"asked to score with an ONNX model; its output is of the shape {self._shape}, not (jet, class). Train again."
            )
        return self._shape[1]

    @property
    def _positions(self) -> int:
        """Of a jet with one particle: pixels of an image, or 1."""
        return max((math.prod(size or 1 for size in shape[:-1]) for shape in self.inputs.values()), default=1)

    def _takes(self) -> str:
        return ", ".join(
            f"{name} {self.dtypes[name]} (jet, {', '.join('any' if size is None else str(size) for size in shape)})"
            for name, shape in self.inputs.items()
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]
