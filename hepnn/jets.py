"""The jet contract: what every reader and generator hands on, and every later part of hepnn takes.

Jets are an awkward record array, one record a jet:

- ``pt eta phi energy``: GeV and radians, float. A schema may add a ``label``, weights and observers, but not ``mass``:
  it follows from the energy, and a record with both is no four-vector.
- ``label``: the name of the jet's true class, a string (None where no class applies); absent when the source has
  no truth. Names rather than numbers, so that jets of different sources can be joined without mixing classes up.
- ``particles``: ``var *`` records with ``pt eta phi energy`` and, where the source has them, ``charge``, ``pid``
  (PDG code), ``d0 d0_error dz dz_error`` (mm) and the flags ``is_charged_hadron is_neutral_hadron is_photon
  is_electron is_muon``. They are ordered by falling pt. A source can have more collections of the same kind
  (``vertices``, ``tracks``). A shower in a calorimeter is a jet whose members are called ``cells``, and have a
  ``layer`` (0 for the first) and a ``time`` (ns) as well.
- A missing value is None or NaN, never a magic number.
- A jet may have no particles.

The records are named Momentum4D, and importing this module registers what the package vector knows of those: they
behave as four-vectors, with ``jets.mass``, ``jets.particles.deltaR(jets)`` and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import vector
from numpy import ma

from hepnn.errors import InputError

__all__ = [
    "JET_FIELDS",
    "MEMBERS",
    "PARTICLE_FIELDS",
    "as_jets",
    "check_jets",
    "collections_of",
    "column_of",
    "flat_members",
    "labels_of",
    "members_of",
    "nested_like",
]

vector.register_awkward()

MEMBERS = ("particles", "cells")
"""What jets, or showers, are made of."""

JET_FIELDS = ("pt", "eta", "phi", "energy")
PARTICLE_FIELDS = ("pt", "eta", "phi", "energy")


def as_jets(jets: Any) -> Any:
    """Returns jets as one array, where scikit-learn has made a list of records of them; anything else unchanged."""
    if not isinstance(jets, list) or not jets or not all(isinstance(jet, ak.Record) for jet in jets):
        return jets
    arrays = {id(jet.layout.array): jet.layout.array for jet in jets}
    if len(arrays) == 1:
        return ak.Array(next(iter(arrays.values())))[[jet.layout.at for jet in jets]]
    return ak.concatenate([ak.Array(jet.layout.array)[jet.layout.at : jet.layout.at + 1] for jet in jets])


def check_jets(jets: ak.Array) -> ak.Array:
    """Returns ``jets`` unchanged if they keep the contract.

    Raises:
        InputError: not a flat record array, or a field of the contract is missing.
    """
    if not isinstance(jets, ak.Array) or jets.ndim != 1 or not jets.fields:
        found = f"{type(jets).__name__}" + (f" of type {jets.type}" if isinstance(jets, ak.Array) else "")
        raise InputError(
            f"asked for jets, an awkward array with one record a jet; found {found[:200]}. "
            "Read them with hepnn.read_jets, or flatten jets nested in events with ak.flatten(events.Jet)."
        )
    for name in JET_FIELDS:
        if name not in jets.fields:
            raise InputError(f"asked for the jet field {name!r}; found only {', '.join(jets.fields)}. Rename yours.")
        _check_numbers(jets.layout[name], f"jet field {name!r}", depth=1)
    members = members_of(jets)
    for name in PARTICLE_FIELDS:
        if name not in jets[members].fields:
            raise InputError(
                f"asked for the field {name!r} of {members}; found only {', '.join(jets[members].fields)}."
            )
        _check_numbers(jets.layout[members][name], f"field {name!r} of {members}", depth=2)
    for what, records in (("jets", jets), *((name, jets[name]) for name in collections_of(jets))):
        # ak.is_none looks into records where they are not optional themselves
        if records.layout.is_option and (missing := ak.to_numpy(ak.is_none(records))).any():
            raise InputError(
                f"asked for jets, each with its {what}; {int(missing.sum())} of {len(jets)} are missing, first jet "
                f"{int(missing.argmax())}. Leave them out: jets[~ak.is_none(jets)] where you masked them."
            )
    return jets


def _check_numbers(content: Any, what: str, *, depth: int) -> None:
    """Refuses what is no number for each jet, or for each of its members: text, truth, time, complex numbers, lists."""
    form = content.form  # of virtual arrays nothing is read
    bottom, is_text = form, False
    while hasattr(bottom, "content") and not bottom.is_record:
        is_text |= bottom.parameter("__array__") in ("string", "bytestring")
        bottom = bottom.content
    is_number = bottom.is_unknown or (bottom.is_numpy and not is_text and np.dtype(bottom.primitive).kind in "iuf")
    if form.purelist_depth != depth or not is_number:
        raise InputError(
            f"asked for the {what} as {'a list of numbers' if depth > 1 else 'one number'} a jet; found the type "
            f"{form.type}. Give it in GeV or radians, as int or float."
        )


def members_of(jets: ak.Array) -> str:
    """Returns the name of the list that jets are made of: ``particles``, or the ``cells`` of showers.

    Raises:
        InputError: they have neither.
    """
    for name in MEMBERS:
        if name in jets.fields:
            return name
    raise InputError(
        f"asked for the jets' particles; found the fields {', '.join(jets.fields)}. "
        "Each jet needs a list of records named 'particles', each shower one named 'cells'."
    )


def collections_of(jets: ak.Array) -> tuple[str, ...]:
    """Returns the names of the fields that hold lists of records, ``particles`` first of all."""
    parts = {name: jets.layout[name] for name in jets.fields}
    return tuple(name for name, part in parts.items() if part.purelist_depth == 2 and part.fields)


def flat_members(jets: ak.Array, name: str) -> tuple[ak.Array, npt.NDArray[np.int64]]:
    """Returns the records of a collection, those of all jets one after another, and how many each jet has, (jet,)."""
    lists = jets[name].layout
    if not isinstance(lists, ak.contents.ListOffsetArray):
        return ak.flatten(jets[name]), ma.filled(ak.to_numpy(ak.num(jets[name])), 0)
    lists = lists.to_ListOffsetArray64(True)  # what ak.flatten and ak.num take five times as long for
    offsets = np.asarray(lists.offsets)
    content = lists.content if len(lists.content) == offsets[-1] else lists.content[: offsets[-1]]
    return ak.Array(content), np.diff(offsets)


def column_of(records: ak.Array, name: str) -> npt.NDArray[Any]:
    """Returns a field of records, (record,), as NumPy's; masked where the records allow for a missing value."""
    content = records.layout[name]
    if content.is_numpy and isinstance(content.data, np.ndarray):
        return content.data
    return np.asanyarray(ak.to_numpy(records[name], allow_missing=True))


def labels_of(jets: ak.Array, y: Any = None) -> npt.NDArray[Any]:
    """Returns the class of each jet, (jet,), from ``y`` or else from the jets' own labels.

    Raises:
        InputError: the jets have no labels, some are missing, or ``y`` has another length.
    """
    if y is None:
        if "label" not in jets.fields:
            raise InputError(
                f"asked for the jets' classes; found no field 'label' among {', '.join(jets.fields)}. Give them as y, "
                "or name the labels in the schema."
            )
        y = jets.label
    missing = np.zeros(0, bool)
    if isinstance(y, ak.Array):
        missing = ak.to_numpy(ak.is_none(y))
        y = ak.to_numpy(ak.drop_none(y, axis=0))
    labels = np.asarray(y)
    if labels.dtype.kind == "O":
        missing = np.array([label is None or label != label for label in labels.ravel()], bool)
        labels = labels if missing.any() else np.asarray(labels.tolist())  # names as names
    elif labels.dtype.kind == "f" and not missing.any():
        missing = np.isnan(labels)
    if missing.any():
        raise InputError(
            f"asked for the jets' classes; {int(missing.sum())} of {len(missing)} have none, first jet "
            f"{int(missing.argmax())}. Select those with a label: jets[~ak.is_none(jets.label)], or with the selection "
            "has_label where they are read."
        )
    if labels.shape != (len(jets),):
        raise InputError(f"asked for one class for each of {len(jets)} jets; found the shape {labels.shape}.")
    return labels


def nested_like(jets: ak.Array, of_flat: Callable[[ak.Array], ak.Array]) -> ak.Array:
    """Returns what a function gives for jets, (jet,), nested like the jets: (event, jet), for one.

    Args:
        jets: records, (jet,) or in lists of any depth, in memory or virtual.
        of_flat: takes the jets as one list, (jet,), and gives one value or record each.
    """
    counts = []
    while isinstance(jets, ak.Array) and jets.ndim > 1:
        counts.append(ak.num(jets))
        jets = ak.flatten(jets)
    made = of_flat(jets)
    for number in reversed(counts):
        made = ak.unflatten(made, number)
    return made
