"""Tensors: what a representation makes of jets, and what a network is told about them.

A representation (`hepnn.clouds.ParticleCloud`, for one) says how jets become tensors; `Representation` lists what it
has to be able to do, so that a `hepnn.Tagger` can train on it, apply it and keep it. What it makes of some jets are
`Tensors`, which give dense batches; a `TensorSpec` describes each input of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.scaling import Scaling

__all__ = ["JET", "Augment", "Representation", "TensorSpec", "Tensors"]

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
        """Returns the dense inputs of a network for some jets, sequences padded to ``length``."""


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

    def augmenter(self, names: Sequence[str]) -> Augment:
        """Returns the function that varies a training batch by the augmentations of these names."""

    def settings(self) -> dict[str, Any]:
        """Returns the arguments with which a `hepnn.Tagger` makes this representation."""

    def to_dict(self) -> dict[str, Any]:
        """Returns a description that JSON can hold."""

    @classmethod
    def from_dict(cls, description: Mapping[str, Any], *, custom: Mapping[str, Callable[..., Any]]) -> Self:
        """Returns the representation that `to_dict` described; ``custom`` has the user's own functions by name."""
