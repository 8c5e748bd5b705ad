"""Pieces that several networks are made of: the per-particle encoder, the read-out, the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from hepnn.errors import InputError
from hepnn.layers import POOLINGS, AttentionPooling, MaskedPooling, PointwiseConv1D

__all__ = ["READOUTS", "encode", "head", "per_collection", "read_out"]

SUM_SCALE = 1 / 32
"""Factor of every sum over particles: of order one over their usual number, so that the head starts with values of
order one. Without it training at the default rate can diverge."""

READOUTS = ("attention", *POOLINGS)


def per_collection(value: Any, name: str) -> Any:
    """Returns the entry of ``name`` if ``value`` is a mapping by collection, else ``value``, meant for all."""
    if not isinstance(value, Mapping):
        return value
    if name not in value:
        raise InputError(f"asked for an option by collection; found {', '.join(value)} but no {name!r}.")
    return value[name]


def encode(values: Any, *, widths: Sequence[int], activation: str, name: str) -> Any:
    """Returns each particle's encoding, (jet, particle, widths[-1]): one dense network for all, as 1×1 convolutions."""
    for layer, width in enumerate(widths):
        values = PointwiseConv1D(width, activation=activation, name=f"{name}_encoder_{layer}")(values)
    return values


def read_out(values: Any, mask: Any, *, how: Sequence[str], name: str, both_ways: bool = False) -> list[Any]:
    """Returns one tensor (jet, feature) for each entry of ``how``.

    Args:
        values: (jet, particle, feature).
        mask: (jet, particle) bool.
        how: names out of `READOUTS`.
        name: prefix of the layers' names.
        both_ways: whether the second half of the features was read backwards, so that its last state is in front.

    Raises:
        InputError: unknown read-out.
    """
    outputs = []
    for kind in [how] if isinstance(how, str) else how:
        if kind not in READOUTS:
            raise InputError(f"asked for the read-out {kind!r}; known: {', '.join(READOUTS)}.")
        if kind == "attention":
            outputs.append(AttentionPooling(name=f"{name}_attention")(values, mask))
        elif kind == "last" and both_ways:
            forward = values.shape[-1] // 2
            outputs.append(MaskedPooling(kind, name=f"{name}_{kind}")(values[..., :forward], mask))
            outputs.append(values[:, 0, forward:])
        else:
            pooled = MaskedPooling(kind, name=f"{name}_{kind}")(values, mask)
            if kind == "sum":
                pooled = keras.layers.Rescaling(SUM_SCALE, name=f"{name}_sum_scale")(pooled)
            outputs.append(pooled)
    return outputs


def head(parts: Sequence[Any], *, widths: Sequence[int], dropout: float, activation: str, n_classes: int) -> Any:
    """Returns class probabilities (jet, class) from tensors (jet, feature), joined and taken through dense layers."""
    values = keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]
    for layer, width in enumerate(widths):
        values = keras.layers.Dense(width, activation=activation, name=f"head_{layer}")(values)
        if dropout:
            values = keras.layers.Dropout(dropout, name=f"head_dropout_{layer}")(values)
    # float32 whatever else is computed with fewer bits, for the sake of the loss
    return keras.layers.Dense(n_classes, activation="softmax", dtype="float32", name="probabilities")(values)
