"""Networks by name: Keras functional models, built for the tensors of a representation.

`MODELS` is the registry, a literal dict of ``module:function``, so that listing the names does not load TensorFlow. To
add a network, write a function like `hepnn.models.recurrent.gru` and its entry here (and one in
`hepnn.representations.LAYOUTS`, if it takes images); or hand your own to
``Tagger(model=my_function)``, or on the command line ``--model package.module:function``. It is called as

    my_function(inputs, n_classes, **options) -> keras.Model

where ``inputs`` describes each tensor (`hepnn.tensors.TensorSpec`), and returns a model that takes a dict of
those tensors and gives class probabilities, (jet, class).

Networks with other answers are ordinary Keras models for your own training, beside the registry:
`hepnn.models.multi_output`, with several answers, and `hepnn.models.decoder`, with an answer for every pixel.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hepnn.errors import InputError, closest
from hepnn.plugins import find_plugin, plugin_names
from hepnn.tensors import TensorSpec

__all__ = ["MODELS", "build_model", "check_model_name", "resolve_model"]

MODELS: dict[str, str] = {
    "gru": "hepnn.models.recurrent:gru",
    "lstm": "hepnn.models.recurrent:lstm",
    "deepsets": "hepnn.models.deepsets:deepsets",
    "cnn2d": "hepnn.models.convolutional:cnn2d",
    "resnet2d": "hepnn.models.convolutional:resnet2d",
    "cnn3d": "hepnn.models.convolutional:cnn3d",
    "convlstm": "hepnn.models.convolutional:convlstm",
}


def resolve_model(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function that builds the network ``name``.

    Args:
        name: a key of `MODELS`, the name of a plug-in (`hepnn.plugins`), ``package.module:function`` (which is
            imported), or the function itself.

    Raises:
        InputError: there is no such network, module or function.
        DependencyError: the plug-in cannot be imported.
    """
    if callable(name):
        return name
    check_model_name(name)
    if name not in MODELS and (added := find_plugin("models", name)) is not None:
        return added
    module, _, function = MODELS.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise InputError(
            f"asked for the model {name!r}; {error}. Install the package, or set PYTHONPATH to its folder."
        ) from error
    if not callable(found):
        raise InputError(f"asked for the model {name!r}; module {module!r} has no function {function!r}.")
    return found


def check_model_name(name: str | Callable[..., Any]) -> None:
    """Refuses a name that is none of a network, without importing any.

    Raises:
        InputError: it is neither one of hepnn's, nor of a plug-in, nor ``package.module:function``.
    """
    if not callable(name) and name not in MODELS and ":" not in name and name not in plugin_names("models"):
        raise InputError(
            f"asked for the model {name!r}; closest: {closest(name, (*MODELS, *plugin_names('models')))}. "
            "Your own goes by package.module:function, or as a Python function."
        )


def build_model(
    name: str | Callable[..., Any],
    inputs: Mapping[str, TensorSpec],
    *,
    n_classes: int,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Returns the Keras model ``name`` for these inputs.

    Args:
        name: see `resolve_model`.
        inputs: what each tensor holds, by its name.
        n_classes: columns of the output.
        options: keyword arguments of the network's function.

    Raises:
        InputError: unknown model or option, or one that the network cannot be built with.
    """
    function = resolve_model(name)
    options = dict(options or {})
    parameters = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        known = [key for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
        for key in options:
            if key not in known:
                raise InputError(f"asked for the option {key!r} of the model {name!r}; closest: {closest(key, known)}.")
    try:
        return function(inputs, n_classes, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError) or not options or name not in MODELS:  # one's own function speaks for itself
            raise
        said = ", ".join(f"{key}={value!r}" for key, value in options.items())
        usual = ", ".join(f"{key}={parameters[key].default!r}" for key in options)
        raise InputError(
            f"asked for the model {name!r} with {said}; it cannot be built: {str(error).splitlines()[0][:200]}. Without "
            f"them it is {usual}. On the command line a list of one has its comma: --option units=64,"
        ) from error
