"""Transfer: what one network has learned of the features of jets starts another.

A network is its features (everything up to the head) and its head (the dense layers that tell the classes apart, see
`hepnn.models.blocks.head`). The head belongs to the classes and to the size of the images, so it is made anew; the
layers before it are taken over where their names and shapes are the same, and can be frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepnn.errors import InputError, TaggerError

__all__ = ["FREEZE", "take_over"]

FREEZE = ("features",)
"""What can be kept from training."""

_HEAD = ("head_", "probabilities")
"""How the names of the head's layers begin."""


def take_over(model: Any, weights: Mapping[str, Any], *, freeze: str | None = None) -> list[str]:
    """Returns the names of the layers of ``model`` that were given the weights of another network.

    Args:
        model: a Keras model, changed in place.
        weights: arrays by the path of their variable, as a `hepnn.Tagger` has in ``weights_``.
        freeze: "features" to keep the layers that are taken over from training, or None.

    Raises:
        InputError: another ``freeze``.
        TaggerError: no layer is the same in both networks.
    """
    if freeze is not None and freeze not in FREEZE:
        raise InputError(f"asked to freeze {freeze!r}; known: {', '.join(FREEZE)}.")
    taken = []
    for layer in model.layers:
        found = [weights.get(variable.path) for variable in layer.weights]
        same = all(array is not None and array.shape == v.shape for array, v in zip(found, layer.weights, strict=True))
        if not found or not same or layer.name.startswith(_HEAD):
            continue
        layer.set_weights(found)
        layer.trainable = freeze is None
        taken.append(layer.name)
    if not taken:
        ours = ", ".join(f"{v.path} {tuple(v.shape)}" for v in model.weights[:3])
        theirs = ", ".join(f"{path} {array.shape}" for path, array in list(weights.items())[:3])
        raise TaggerError(
            f"asked to start from another tagger; no layer before the head is the same: this network begins with {ours}, that "
            f"one with {theirs}. Use the same model, options and features."
        )
    return taken
