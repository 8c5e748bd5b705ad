"""Recurrent taggers: particles are encoded one by one, then read in order by masked LSTM or GRU layers.

The plan is that of DeepJet (Bols et al. 2020, arXiv:2008.10519): per collection a stack of 1×1 convolutions and a
recurrent layer, joined with the features of the jet in a dense head; and of RNNIP (ATL-PHYS-PUB-2017-003). New is
that padding never enters: the mask goes to every recurrent layer and every pooling, so neither the length of padding
nor what it holds changes a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras

from hepnn.errors import InputError
from hepnn.layers import KeepFirstSlot
from hepnn.models.blocks import encode, head, per_collection, read_out
from hepnn.models.inputs import cloud_inputs
from hepnn.recurrent_layers import GRU, LSTM
from hepnn.tensors import TensorSpec

__all__ = ["gru", "lstm", "recurrent"]

_CELLS: dict[str, Any] = {"gru": GRU, "lstm": LSTM}


def recurrent(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    cell: str = "gru",
    encoder: Sequence[int] | Mapping[str, Sequence[int]] = (100, 100),
    units: Sequence[int] | Mapping[str, Sequence[int]] = (80,),
    max_steps: int | Mapping[str, int] = 48,
    bidirectional: bool = False,
    readout: Sequence[str] = ("mean", "max"),
    skip: Sequence[str] = ("sum",),
    skip_encoder: Sequence[int] | Mapping[str, Sequence[int]] = (128,),
    head_units: Sequence[int] = (100,),
    dropout: float = 0.1,
    activation: str = "relu",
) -> keras.Model:
    """Returns a tagger with masked recurrent layers.

    Args:
        inputs: the tensors of a `hepnn.clouds.ParticleCloud`.
        n_classes: columns of the output.
        cell: "gru" or "lstm".
        encoder: widths of the 1×1 convolutions; by collection if a mapping.
        units: widths of the recurrent layers; by collection if a mapping.
        max_steps: the recurrent layers, which take most of the time, read only so many particles, the first, where these
            are the hardest, and all in any other order; by collection if a mapping.
        bidirectional: read the sequence both ways; doubles the width.
        readout: what is taken from the recurrent layer's sequence: "last" (its last state), "mean", "max", "sum",
            "attention".
        skip: poolings over all encoded particles that go around the recurrent layers, as in Deep Sets.
        skip_encoder: widths of further 1×1 convolutions before them; by collection if a mapping.
        head_units: widths of the dense layers behind.
        dropout: share of the head's units dropped in training.
        activation: of the encoder and the head.

    Returns:
        A model from a dict of tensors to probabilities (jet, class).

    Raises:
        InputError: unknown cell or read-out.
    """
    if cell not in _CELLS:
        raise InputError(f"asked for the recurrent cell {cell!r}; known: {', '.join(_CELLS)}.")
    tensors, sequences, jet = cloud_inputs(inputs)
    parts: list[Any] = []
    for name, (values, mask) in sequences.items():
        n_steps = per_collection(max_steps, name) if inputs[name].hardest_first else None
        if not skip:  # nobody reads the other particles
            values, mask, n_steps = values[:, :n_steps], mask[:, :n_steps], None
        encoded = encode(values, widths=per_collection(encoder, name), activation=activation, name=name)
        states, steps = (encoded, mask) if n_steps is None else (encoded[:, :n_steps], mask[:, :n_steps])
        steps = KeepFirstSlot(name=f"{name}_steps")(steps)
        for depth, width in enumerate(per_collection(units, name)):
            layer = _CELLS[cell](width, return_sequences=True, name=f"{name}_{cell}_{depth}")
            if bidirectional:
                layer = keras.layers.Bidirectional(layer, name=f"{name}_both_ways_{depth}")
            states = layer(states, mask=steps)
        parts += read_out(states, steps, how=readout, name=f"{name}_{cell}", both_ways=bidirectional)
        if skip:
            widths = per_collection(skip_encoder, name)
            encoded = encode(encoded, widths=widths, activation=activation, name=f"{name}_skip")
            parts += read_out(encoded, mask, how=skip, name=f"{name}_skip")
    if jet is not None:
        parts.append(jet)
    output = head(parts, widths=head_units, dropout=dropout, activation=activation, n_classes=n_classes)
    return keras.Model(tensors, output, name=cell)


gru = partial(recurrent, cell="gru")
lstm = partial(recurrent, cell="lstm")
