"""Transfer: what one network has learned of the features of jets starts another.

A network is its features (everything up to the head) and its head (the dense layers that tell the classes apart, see
`hepnn.models.blocks.head`). The head belongs to the classes and to the size of the images, so it is made anew; the
layers before it are taken over where their names and shapes are the same, and can be frozen.

What was learned holds for inputs like those it was learned on: `scaled_as` has the new network scale them as the old one
did, and refuses others. `begin` takes over all layers before the head or none, which is what
``Tagger(start_from="tagger/")`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hepnn.errors import InputError, TaggerError
from hepnn.models import MODELS, resolve_model
from hepnn.tensors import Contents, TensorSpec

__all__ = ["FREEZE", "Origin", "begin", "options_of", "own_functions", "scaled_as", "take_over"]

FREEZE = ("features",)
"""What can be kept from training."""

_HEAD = ("head_", "probabilities")
"""How the names of the head's layers begin."""


class Origin(NamedTuple):
    """Where a tagger started from.

    Attributes:
        path: of the other tagger, as it was given.
        checksum: SHA-256 of its weights (`hepnn.storage.checksum`).
        layers: names of those that were taken over.
    """

    path: str
    checksum: str
    layers: tuple[str, ...]


def own_functions(settings: Mapping[str, Any]) -> list[Any]:
    """Returns the functions among the features and the model of a `hepnn.Tagger`, given its settings."""
    features = settings["features"]
    groups = [*(features.values() if isinstance(features, Mapping) else (features,)), settings["jet_features"]]
    found = [part for group in groups if not isinstance(group, str) for part in group if not isinstance(part, str)]
    model = settings["model"]
    return found if model in MODELS else [*found, resolve_model(model)]


def options_of(settings: Mapping[str, Any], *, start: Any = None) -> dict[str, Any]:
    """Returns the options of the network: those of the settings, and of those left open the ones of ``start``.

    Args:
        settings: of a `hepnn.Tagger`.
        start: the tagger it starts from, or None.

    Raises:
        TaggerError: they have different networks of hepnn's.
    """
    options = dict(settings["model_options"] or {})
    if start is None:
        return options
    ours, theirs = settings["model"], start.model
    if resolve_model(ours) is resolve_model(theirs):
        return {**start.model_options, **options}
    if ours in MODELS and theirs in MODELS:
        raise TaggerError(f"asked to start a {ours} from a tagger that is a {theirs}. Choose the model {theirs!r}.")
    return options


def scaled_as(
    inputs: Mapping[str, TensorSpec], contents: Mapping[str, Contents], *, start: Any
) -> dict[str, TensorSpec]:
    """Returns the description of a network's inputs, scaled as those of the tagger ``start``.

    Args:
        inputs: what the new network is given, by name.
        contents: what these hold.
        start: the tagger that it starts from.

    Raises:
        TaggerError: that one was trained on other tensors, other features of particles or another order.
    """
    theirs = start.representation_.contents()
    for name in contents.keys() | theirs.keys():
        for what in ("features", "units", "order"):
            found, needed = (getattr(of.get(name), what, "nothing") for of in (contents, theirs))
            if found != needed:
                raise TaggerError(
                    f"asked to start from another tagger, which was trained on {name!r} with the {what} {needed}; found "
                    f"{found}. What it learned holds only for those: choose the same, or leave them open."
                )
    return {name: spec._replace(scaling=start.inputs_[name].scaling) for name, spec in inputs.items()}


def begin(model: Any, start: Any, *, path: str | Path, checksum: str, freeze: str | None) -> Origin:
    """Returns where ``model`` comes from, after it was given all layers before the head of the tagger ``start``.

    Args:
        model: a Keras model, changed in place.
        start: the tagger that it starts from.
        path: of that tagger.
        checksum: of its weights.
        freeze: "features" to keep those layers from training, or None.

    Raises:
        InputError: another ``freeze``.
        TaggerError: a layer before the head is not the same in both networks.
    """
    taken = take_over(model, start.weights_, freeze=freeze)
    for layer in model.layers:
        if layer.weights and layer.name not in taken and not layer.name.startswith(_HEAD):
            theirs = {key: array.shape for key, array in start.weights_.items() if key.startswith(f"{layer.name}/")}
            raise TaggerError(
                f"asked to start from the tagger in {path}; its layer {layer.name!r} has {theirs or 'nothing'}, that of "
                f"this network { ({v.path: tuple(v.shape) for v in layer.weights}) }. It is a {start.model} with the options "
                f"{start.model_options}: choose the same."
            )
    return Origin(str(path), checksum, tuple(taken))


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
