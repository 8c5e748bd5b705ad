"""Settings of a training: which make sense, and which have to be the same for a training to go on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hepnn import __version__
from hepnn.errors import InputError

__all__ = ["check_settings", "fingerprint"]


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuses settings of a `hepnn.Tagger` that make no sense.

    Raises:
        InputError: a number is out of its range.
    """
    for name, least in (("epochs", 1), ("batch_size", 1), ("n_buckets", 1), ("patience", 1), ("seed", 0)):
        value = settings[name]
        if not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"asked for {name}={value!r}; it takes a whole number from {least} on.")
    for name in ("validation_fraction", "warmup"):
        value = settings[name]
        if not 0 <= value < 1:
            raise InputError(f"asked for {name}={value!r}; it takes a share from 0 to below 1.")
    if not settings["learning_rate"] > 0 or not settings["weight_decay"] >= 0:
        raise InputError(
            f"asked for learning_rate={settings['learning_rate']!r} and weight_decay={settings['weight_decay']!r}; the "
            "first has to be positive, the second not negative."
        )
    if settings["freeze"] is not None and settings["start_from"] is None:
        raise InputError(
            f"asked for freeze={settings['freeze']!r} without start_from; name the folder of the tagger whose layers are "
            "to be kept."
        )
    augment = settings["augment"]
    if isinstance(augment, str) and augment != "auto":
        raise InputError(f"asked for augment={augment!r}; give a list of names, such as [{augment!r}], or 'auto'.")
    if settings["distribute"] not in (None, "mirrored", "multi-worker"):
        raise InputError(f"asked for distribute={settings['distribute']!r}; known: None, 'mirrored', 'multi-worker'.")
    by_class = settings["class_weight"]
    if isinstance(by_class, Mapping) and not all(weight > 0 for weight in by_class.values()):
        raise InputError(f"asked for class_weight={dict(by_class)}; every weight has to be positive.")


def fingerprint(
    settings: Mapping[str, Any],
    *,
    representation: Any,
    classes: npt.NDArray[Any],
    inputs: Any,
    jets: Mapping[str, str],
) -> dict[str, str]:
    """Returns what has to be the same for a training to go on from its checkpoint, as texts by name.

    Args:
        settings: of the `hepnn.Tagger`.
        representation: its description.
        classes: their names.
        inputs: what the network is told of its tensors.
        jets: what is learned from, as texts by name.
    """
    parts = {name: repr(value) for name, value in settings.items() if name != "schema"}  # which the jets follow from
    parts["representation"] = repr(representation)
    parts["classes"] = repr(classes.tolist())
    parts["scaling of the inputs"] = repr(inputs)
    parts["version of hepnn"] = __version__
    # a function says where it lies in memory, which another process does not know
    return {name: re.sub(r" at 0x[0-9a-f]+", "", text) for name, text in {**parts, **jets}.items()}
