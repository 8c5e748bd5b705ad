"""Representations by name. To add one, write its class (`hepnn.tensors.Representation`) and its entry here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from hepnn.errors import TaggerError

__all__ = ["REPRESENTATIONS", "describe", "described"]

REPRESENTATIONS: dict[str, str] = {
    "cloud": "hepnn.clouds:ParticleCloud",
    "jet-image": "hepnn.images:JetImage",
    "calo-image": "hepnn.calo_images:CaloImage",
}
"""The class of each kind of representation, as ``module:class``."""


def describe(representation: Any) -> dict[str, Any]:
    """Returns a description of the representation that JSON can hold."""
    own = f"{type(representation).__module__}:{type(representation).__qualname__}"
    for kind, path in REPRESENTATIONS.items():
        if path == own:
            return {"kind": kind, **representation.to_dict()}
    raise TaggerError(f"asked to describe the representation {own}; known: {', '.join(REPRESENTATIONS.values())}.")


def described(description: Mapping[str, Any], *, custom: Mapping[str, Callable[..., Any]]) -> Any:
    """Returns the representation that `describe` described.

    Args:
        description: what `describe` returned.
        custom: the user's own features by name.

    Raises:
        TaggerError: its kind is not known.
        FeatureError: a feature is neither built in nor among ``custom``.
    """
    settings = dict(description)
    kind = settings.pop("kind")
    if kind not in REPRESENTATIONS:
        raise TaggerError(f"asked for a representation of the kind {kind!r}; known: {', '.join(REPRESENTATIONS)}.")
    module, _, name = REPRESENTATIONS[kind].partition(":")
    return getattr(importlib.import_module(module), name).from_dict(settings, custom=custom)
