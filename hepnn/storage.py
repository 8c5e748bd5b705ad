"""A tagger on disk: a folder with a description to read and the weights, each with a checksum.

- ``tagger.json``: classes, schema, representation with its features, scaling, model and options, training recipe and
  history, how the features were distributed, versions of the packages, and checksums: of every other file, and of the
  text before its last line;
- ``weights.npz``: the weights, one array for each variable of the Keras model, in its order;
- ``model.onnx``: the network with its weights, for ONNX Runtime to score with; absent where there is no translation.

Loading compares all checksums: a flipped bit anywhere is refused, and the file named. What else is in the folder is not
looked at. The Keras model is rebuilt from the description by hepnn's own code and filled with the weights. No Python in
the folder is ever run, nothing is imported that it names, and functions of the user's own have to be handed over by name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn import __version__
from hepnn.drift import seen_from
from hepnn.errors import FeatureError, InputError, TaggerError
from hepnn.guarded import arrays_in, content_of, parse_json, seal, sha256, unseal
from hepnn.history import trained_from
from hepnn.models import MODELS
from hepnn.plugins import plugin_names
from hepnn.representations import describe, described
from hepnn.scaling import Scaling
from hepnn.schema import Schema
from hepnn.staging import check_folder, make_folder, staged_folder
from hepnn.targets import classes_in
from hepnn.tensors import TensorSpec
from hepnn.transfer import Origin

__all__ = ["check_target", "checksum", "load", "save", "set_weights"]

FORMAT = 3
_UNSEALED = 2
"""The format before, whose description had no checksum of its own; it is still read."""
DESCRIPTION, WEIGHTS, ONNX = "tagger.json", "weights.npz", "model.onnx"
_NOT_RECIPE = (
    "model",
    "model_options",
    "representation",
    "representation_options",
    "features",
    "jet_features",
    "schema",
)
"""Settings that are described apart from the recipe, as what became of them."""
_PACKAGES = ("keras", "tensorflow", "onnx", "onnxruntime", "numpy", "awkward", "scikit-learn")


def save(tagger: Any, folder: Path, *, overwrite: bool) -> Path:
    """Writes a fitted tagger to ``folder``, whole or not at all, and returns the folder.

    Raises:
        OutputError: it exists and ``overwrite`` is not set, or it cannot be written.
    """
    check_target(folder, overwrite=overwrite)
    with staged_folder(folder, overwrite=overwrite) as part:
        _write(tagger, part)
    return folder


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Refuses a folder that a tagger cannot be written to.

    Raises:
        OutputError: it exists and ``overwrite`` is not set, or holds something else; or there can be no such folder.
    """
    check_folder(folder, marker=DESCRIPTION, what="a tagger", overwrite=overwrite)
    make_folder(folder.parent)


def _write(tagger: Any, folder: Path) -> None:
    np.savez(folder / WEIGHTS, **tagger.weights_)
    if tagger.onnx_ is not None:
        (folder / ONNX).write_bytes(tagger.onnx_)
    text = json.dumps(_describe(tagger, folder), indent=1, allow_nan=False)
    one_line_lists = re.sub(r"\[([^\[\]{}]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    (folder / DESCRIPTION).write_text(seal(one_line_lists))


def _describe(tagger: Any, folder: Path) -> dict[str, Any]:
    schema = tagger.read_schema()
    model = tagger.model
    recipe = {name: _plain(value) for name, value in tagger.get_params(deep=False).items() if name not in _NOT_RECIPE}
    training = tagger.training_
    return {
        "format": FORMAT,
        "versions": {"hepnn": __version__, **{name: importlib.metadata.version(name) for name in _PACKAGES}},
        "classes": tagger.classes_.tolist(),
        "schema": None if schema is None else schema.to_dict(),
        "model": {
            "name": model if isinstance(model, str) else _name_of(model),
            "options": tagger.model_options_,
        },
        "origin": tagger.origin_ and tagger.origin_._asdict(),
        "representation": describe(tagger.representation_),
        "inputs": {
            name: {**spec._asdict(), "shape": list(spec.shape), "scaling": spec.scaling._asdict()}
            for name, spec in tagger.inputs_.items()
        },
        "recipe": recipe,
        "training": {**training._asdict(), "left_out": tagger.left_out_},
        "temperature": tagger.temperature_,
        "seen": {
            name: {feature: seen._asdict() for feature, seen in columns.items()}
            for name, columns in tagger.seen_.items()
        },
        "why_keras": tagger.why_keras_,
        "checksums": {
            name: sha256((folder / name).read_bytes()) for name in (WEIGHTS, ONNX) if (folder / name).exists()
        },
    }


def _name_of(function: Any) -> str:
    """The name of a function, or of what a partial function is part of."""
    return str(getattr(function, "__name__", None) or _name_of(function.func))


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: NumPy scalars as Python's, a mapping as pairs, whose keys need not be text."""
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(part)] for key, part in value.items()]
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def load(cls: Any, folder: Path, *, custom: Mapping[str, Callable[..., Any]]) -> Any:
    """Returns the tagger, an instance of ``cls``, kept in ``folder``.

    Raises:
        TaggerError: no tagger there, a file that is missing, damaged or changed, or a function of the user's own that
            is not among ``custom``.
    """
    description = _read_description(folder)
    try:
        checksums = description["checksums"]
        weights = _verified(folder, WEIGHTS, checksums)
        tagger = cls()
        tagger._take_settings(description["recipe"])
        name = description["model"]["name"]
        own = custom.get(name) or custom.get(name.rpartition(":")[2])
        if name in MODELS or (own is None and name in plugin_names("models")):
            tagger.model = name
        elif own is not None:
            tagger.model = own
        else:
            raise TaggerError(
                f"the tagger in {folder} has the model {name!r}, which is not hepnn's. Hand over its function: "
                "Tagger.load(folder, custom=[function]), or --custom package.module:function."
            )
        tagger.model_options = tagger.model_options_ = description["model"]["options"]
        origin = description.get("origin")
        tagger.origin_ = None if origin is None else Origin(**{**origin, "layers": tuple(origin["layers"])})
        schema = description["schema"]
        tagger.schema = None if schema is None else Schema.from_dict(schema)
        try:
            tagger.representation_ = described(description["representation"], custom=custom)
        except FeatureError as error:
            raise TaggerError(
                f"the tagger in {folder}: {error} If it is a function of your own, hand it over: "
                "Tagger.load(folder, custom=[function]), or --custom package.module:function."
            ) from error
        tagger._take_settings(tagger.representation_.settings())
        tagger.inputs_ = {
            name: TensorSpec(
                tuple(spec["shape"]),
                Scaling(**{k: tuple(v) for k, v in spec["scaling"].items()}),
                spec["hardest_first"],
                spec["channel_axis"],
            )
            for name, spec in description["inputs"].items()
        }
        tagger.classes_ = classes_in(description["classes"])
        training = dict(description["training"])
        tagger.left_out_ = training.pop("left_out", "")
        tagger.training_ = trained_from(training)
        tagger.n_truncated_ = tagger.training_.n_truncated
        tagger.temperature_ = float(description.get("temperature", 1.0))  # older folders have neither this
        tagger.seen_ = seen_from(description.get("seen", {}))  # nor that
        if ONNX in checksums:
            tagger.onnx_ = _verified(folder, ONNX, checksums)
            tagger.why_keras_ = ""
        elif why := description.get("why_keras"):  # without it, an older hepnn wrote the folder, and did not try
            tagger.onnx_, tagger.why_keras_ = None, why
    except (TaggerError, InputError):
        raise
    except Exception as error:  # what somebody else wrote into it can be anything
        raise TaggerError(
            f"asked for the tagger in {folder}; its {DESCRIPTION} is not as hepnn writes it "
            f"({type(error).__name__}: {str(error)[:200]}). Restore it, or train again."
        ) from error
    try:
        tagger.weights_ = arrays_in(weights)
    except ValueError as error:
        raise TaggerError(
            f"asked for the tagger in {folder}; {WEIGHTS} is not as hepnn writes it ({error}). Restore it, or train again."
        ) from error
    return tagger


def set_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Gives a Keras model its weights, in the order of its variables.

    By order, and not by name: Keras numbers the layers that a user's own function leaves without one.

    Raises:
        TaggerError: the number of variables or a shape differs from the model's.
    """
    for variable, (path, array) in itertools.zip_longest(model.weights, weights.items(), fillvalue=(None, None)):
        needed = tuple(variable.shape) if hasattr(variable, "shape") else "nothing"
        found = "nothing" if array is None else array.shape
        if needed != found:
            raise TaggerError(
                f"the network needs {needed} where the tagger's weights hold {found} for {path!r}. It was made with "
                "another model function or version of hepnn: use that one, or train again."
            )
    model.set_weights(list(weights.values()))


def checksum(weights: Mapping[str, npt.NDArray[Any]]) -> str:
    """Returns the SHA-256 of a network's weights: names, types, shapes and values."""
    found = hashlib.sha256()
    for name, array in weights.items():
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        content = content_of(path)
        description = parse_json(content)
        if isinstance(description, dict) and (description.get("format") == FORMAT or "checksum" in description):
            unseal(content)
    except FileNotFoundError as error:
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) if folder.is_dir() else "no such folder"
        raise TaggerError(
            f"asked for the tagger in {folder}; found no {DESCRIPTION} ({there or 'an empty folder'}). "
            "Train one: hepnn train FILES -o FOLDER."
        ) from error
    except NotADirectoryError as error:
        raise TaggerError(
            f"asked for the tagger in {folder}, which is a file; a tagger is a folder. hepnn loads no models of Keras or "
            "of others from their files: write a function that makes the network, and train with "
            "--model package.module:function."
        ) from error
    except (OSError, ValueError) as error:
        raise TaggerError(
            f"asked for the tagger in {folder}; {DESCRIPTION} cannot be read: {error}. Restore it, or train again."
        ) from error
    found = description.get("format") if isinstance(description, dict) else type(description).__name__
    if found not in (FORMAT, _UNSEALED):
        raise TaggerError(
            f"asked for the tagger in {folder}; its format is {found!r}, this hepnn reads {_UNSEALED} and {FORMAT}. "
            "Use the hepnn it was made with."
        )
    return dict(description)


def _verified(folder: Path, name: str, checksums: Mapping[str, str]) -> bytes:
    """Returns what is in a file of the folder, after it was compared with its checksum."""
    try:
        content = content_of(folder / name)
    except OSError as error:
        raise TaggerError(f"asked for the tagger in {folder}; {name} cannot be read: {error}") from error
    if (found := sha256(content)) != checksums[name]:
        raise TaggerError(
            f"asked for the tagger in {folder}; {name} has the checksum {found[:12]}…, {DESCRIPTION} says "
            f"{checksums[name][:12]}…. The file is damaged or was changed: restore it, or train again."
        )
    return content
