"""Tensors: what a representation makes of jets, and what a network is told about them.

A representation (`hepnn.clouds.ParticleCloud`, for one) says how jets become tensors; `Representation` lists what it
has to be able to do, so that a `hepnn.Tagger` can train on it, apply it and keep it. What it makes of some jets are
`Tensors`, which give dense batches; a `TensorSpec` describes each input of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.scaling import Scaling

__all__ = ["JET", "Augment", "Contents", "Representation", "TensorSpec", "Tensors", "batches_by_length"]

JET = "jet"
"""Name of the tensor of features of the jet as a whole."""

Augment = Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]
"""Changes a batch's inputs, by name, at random."""


class TensorSpec(NamedTuple):
    """One input tensor of a network.

    Attributes:
        shape: without the jet axis; (None, feature) for a sequence of any length.
        scaling: of the last axis.
        hardest_first: whether a sequence begins with the particles of highest pt.
        channel_axis: the scaled axis, in ``shape``; only images can have it elsewhere than last.
    """

    shape: tuple[int | None, ...]
    scaling: Scaling
    hardest_first: bool = True
    channel_axis: int = -1


class Contents(NamedTuple):
    """What an input holds, for programs that fill it themselves.

    Attributes:
        features: names along the last axis.
        units: of each feature.
        order: of a sequence, such as "falling pt"; "" for a tensor that is none.
        max_length: most entries of a sequence, or None for a tensor that is none.
    """

    features: tuple[str, ...]
    units: tuple[str, ...]
    order: str = ""
    max_length: int | None = None


class Tensors(Protocol):
    """Jets as tensors, of any length; row i is jet i."""

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each jet's longest sequence, (jet,); all 1 where there are no sequences."""

    @property
    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shape of each tensor that `pad` gives, without the jet axis; None for the length of a sequence."""

    @property
    def n_truncated(self) -> dict[str, int]:
        """By collection, how many jets lost particles to the limits of the representation."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Self: ...

    def pad(self, rows: npt.NDArray[Any] | slice = slice(None), *, length: int | None = None) -> dict[str, Any]:
        """Returns the dense inputs of a network for some jets, sequences padded to ``length``.

        Threads call this at the same time when they score.
        """


class Representation(Protocol):
    """How jets become tensors."""

    def tensors(self, jets: ak.Array) -> Any:
        """Returns jets as `Tensors`."""

    def specs(self, tensors: Any, *, scaling: str) -> dict[str, TensorSpec]:
        """Returns what the network is told of each tensor.

        Args:
            tensors: those of the training jets.
            scaling: "fixed" or "fitted" to these tensors.
        """

    def contents(self) -> dict[str, Contents]:
        """Returns what each tensor with features holds, by its name."""

    @property
    def default_augmentations(self) -> tuple[str, ...]:
        """What training batches are varied by, unless told otherwise."""

    def left_out(self, tensors: Any) -> str:
        """Returns in words what of the jets is not in their tensors; "" for nothing."""

    def augmenter(self, names: Sequence[str]) -> Augment:
        """Returns the function that varies a training batch by the augmentations of these names."""

    def settings(self) -> dict[str, Any]:
        """Returns the arguments with which a `hepnn.Tagger` makes this representation."""

    def to_dict(self) -> dict[str, Any]:
        """Returns a description that JSON can hold."""

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], *, custom: Mapping[str, Callable[..., Any]]) -> Self:
        """Returns the representation that `to_dict` described; ``custom`` has the user's own functions by name."""


def batches_by_length(lengths: npt.NDArray[np.int64], *, slots: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the rows of jets of like length, those of the longest first, each row once.

    Args:
        lengths: (jet,).
        slots: a batch that is padded to its longest jet has no more than so many, unless it is of one jet.

    >>> [rows.tolist() for rows in batches_by_length(np.array([2, 9, 1, 4]), slots=9)]
    [[1], [0, 3], [2]]
    """
    order = np.argsort(lengths, kind="stable")
    stop = len(order)
    while stop:
        start = max(stop - max(slots // max(int(lengths[order[stop - 1]]), 1), 1), 0)
        yield order[start:stop]
        stop = start
