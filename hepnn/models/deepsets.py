"""Deep Sets: particles are encoded one by one and pooled, whatever their order.

Zaheer et al. 2017 (arXiv:1703.06114); as Particle Flow Network, Komiske, Metodiev, Thaler 2019 (arXiv:1810.05165),
whose widths are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from hepnn.models.blocks import encode, head, per_collection, read_out
from hepnn.models.inputs import cloud_inputs
from hepnn.tensors import TensorSpec

__all__ = ["deepsets"]


def deepsets(
    inputs: Mapping[str, TensorSpec],
    n_classes: int,
    *,
    encoder: Sequence[int] | Mapping[str, Sequence[int]] = (100, 100, 128),
    pooling: Sequence[str] = ("sum",),
    head_units: Sequence[int] = (100, 100, 100),
    dropout: float = 0.0,
    activation: str = "relu",
) -> keras.Model:
    """Returns a tagger that does not depend on the order of the particles.

    Args:
        inputs: the tensors of a `hepnn.clouds.ParticleCloud`.
        n_classes: columns of the output.
        encoder: widths of the 1×1 convolutions; by collection if a mapping.
        pooling: "sum", "mean", "max", "attention", joined.
        head_units: widths of the dense layers behind.
        dropout: share of the head's units dropped in training.
        activation: of the encoder and the head.

    Returns:
        A model from a dict of tensors to probabilities (jet, class).
    """
    tensors, sequences, jet = cloud_inputs(inputs)
    parts = []
    for name, (values, mask) in sequences.items():
        encoded = encode(values, widths=per_collection(encoder, name), activation=activation, name=name)
        parts += read_out(encoded, mask, how=pooling, name=name)
    if jet is not None:
        parts.append(jet)
    output = head(parts, widths=head_units, dropout=dropout, activation=activation, n_classes=n_classes)
    return keras.Model(tensors, output, name="deepsets")
