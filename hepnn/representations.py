"""Representations by name, and which one a network takes of jets.

To add one, write its class (`hepnn.tensors.Representation`) and its entry in `REPRESENTATIONS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import awkward as ak

from hepnn.clouds import ParticleCloud, cloud_for
from hepnn.errors import InputError, TaggerError, closest
from hepnn.jets import check_jets, members_of

__all__ = ["LAYOUTS", "REPRESENTATIONS", "describe", "described", "representation_for"]

CLOUD, JET_IMAGE, CALO_IMAGE = "cloud", "jet-image", "calo-image"

REPRESENTATIONS: dict[str, str] = {
    CLOUD: "hepnn.clouds:ParticleCloud",
    JET_IMAGE: "hepnn.images:JetImage",
    CALO_IMAGE: "hepnn.calo_images:CaloImage",
}
"""The class of each kind of representation, as ``module:class``."""

LAYOUTS: dict[str, str] = {"cnn2d": "layers", "resnet2d": "layers", "cnn3d": "volume", "convlstm": "time"}
"""How `hepnn.calo_images.CaloImage` lays the cells out for each network of images; those of ``layers`` take a
`hepnn.images.JetImage` of particles as well. All other networks take clouds."""

_OF_CLOUDS = ("features", "jet_features", "max_particles", "order_by", "descending")
"""The settings of a `hepnn.Tagger` that make a cloud."""


def representation_for(jets: ak.Array, settings: Mapping[str, Any], *, start: Any = None) -> Any:
    """Returns the representation that a tagger is to have for jets like these.

    Args:
        jets: (jet,) records, looked at only for what they provide.
        settings: of a `hepnn.Tagger`: ``model``, ``representation``, ``representation_options``, and those of clouds.
            The representation "auto" is the one that the network takes: a cloud, or the image of the jets' particles
            or cells, in the layout of `LAYOUTS`.
        start: the representation of the tagger that this one starts from, or None. What the settings leave open is
            as there.

    Raises:
        InputError: an unknown name or option, a network that cannot take such jets, or jets that break the contract.
        FeatureError: an unknown feature.
    """
    asked, options = settings["representation"], dict(settings["representation_options"] or {})
    if not isinstance(asked, str):
        if options:
            raise InputError(
                f"asked for the representation {asked} with the options {', '.join(options)}; one that is made already takes "
                f"none. Make it with them, or give its name: {', '.join(REPRESENTATIONS)}."
            )
        return asked
    if asked not in ("auto", *REPRESENTATIONS):
        raise InputError(
            f"asked for the representation {asked!r}; closest: {closest(asked, ('auto', *REPRESENTATIONS))}."
        )
    there = None if start is None else _kind(start)
    kind = asked if asked != "auto" else there or _kind_for(jets, settings["model"])
    as_there = start if there == kind else None
    if kind == CLOUD:
        return _cloud(jets, settings, options, start=as_there)
    layout = LAYOUTS.get(settings["model"]) if isinstance(settings["model"], str) else None
    by_default = {"layout": layout} if kind == CALO_IMAGE and layout else {}
    return _image(kind, {**(by_default if as_there is None else as_there.to_dict()), **options}, asked=options)


def _kind_for(jets: ak.Array, model: Any) -> str:
    """The kind of representation that the network takes of such jets."""
    layout = LAYOUTS.get(model) if isinstance(model, str) else None
    if layout is None:
        return CLOUD
    if members_of(check_jets(jets)) == "cells":
        return CALO_IMAGE
    if layout != "layers":
        of_particles = ", ".join(name for name, each in LAYOUTS.items() if each == "layers")
        raise InputError(
            f"asked for the network {model!r}, which takes the cells of calorimeter showers; found jets of particles. For "
            f"images of those there are {of_particles}."
        )
    return JET_IMAGE


def _cloud(jets: ak.Array, settings: Mapping[str, Any], options: Mapping[str, Any], *, start: Any) -> ParticleCloud:
    if options:
        raise InputError(
            f"asked for a cloud with the options {', '.join(options)}; it has none. What it shows are settings of their "
            f"own: {', '.join(_OF_CLOUDS)}."
        )
    wanted = {name: settings[name] for name in _OF_CLOUDS}
    for name, value in ({} if start is None else start.settings()).items():
        if wanted[name] in ("auto", ()):
            wanted[name] = value
    return cloud_for(jets, **wanted)


def _image(kind: str, options: Mapping[str, Any], *, asked: Mapping[str, Any]) -> Any:
    found = _class(kind)
    known = [field.name for field in fields(found)]
    for name in asked:
        if name not in known:
            raise InputError(f"asked for a {kind} with the option {name!r}; closest: {closest(name, known)}.")
    try:
        return found(**options)
    except TypeError as error:  # a text for a number, a number for a list
        said, usual = (
            ", ".join(f"{name}={values[name]!r}" for name in asked)
            for values in (asked, {field.name: field.default for field in fields(found)})
        )
        raise InputError(
            f"asked for a {kind} with {said}; that is not of the kind it takes, which is that of {usual}."
        ) from error


def _class(kind: str) -> Any:
    module, _, name = REPRESENTATIONS[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def _kind(representation: Any) -> str:
    own = f"{type(representation).__module__}:{type(representation).__qualname__}"
    for kind, path in REPRESENTATIONS.items():
        if path == own:
            return kind
    raise TaggerError(f"asked to describe the representation {own}; known: {', '.join(REPRESENTATIONS.values())}.")


def describe(representation: Any) -> dict[str, Any]:
    """Returns a description of the representation that JSON can hold."""
    return {"kind": _kind(representation), **representation.to_dict()}


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
    return _class(kind).from_dict(settings, custom=custom)
