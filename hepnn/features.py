"""Named numbers about particles and jets: the formulas, their units, sources and default scaling.

In go jets that keep the contract of `hepnn.jets`; out come NumPy columns, one number a particle or one a jet. The
registries are the literal dicts `PARTICLE_FEATURES` and `JET_FEATURES`; `FEATURE_SETS` names groups of them. To add
one, write its formula and its entry, or hand a Python function to `Tagger(features=[...])`:

>>> def energy_fraction(particles, jet):
...     return particles.energy / jet.energy
>>> custom_feature(energy_fraction).name
'energy_fraction'

A particle formula takes the `Columns` of the particles and those of their jets, in which ``particles.pt`` and
``jet.pt`` are flat arrays of the same length: the particles of many jets, one after another. It is worked out for some
ten thousand particles at a time, so what it gives for one follows from that particle and its jet alone. A jet formula takes
the jets themselves. A formula may return NaN where a particle has no such quantity (a neutral one has no impact
parameter) if the feature declares what then stands for it (``missing``); any other NaN or infinity is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import formulas, observables, pdg
from hepnn.errors import FeatureError, closest
from hepnn.formulas import Columns, columns_of, rows_of
from hepnn.jets import flat_members
from hepnn.plugins import find_plugin, plugin_names

__all__ = [
    "FEATURE_SETS",
    "JET_FEATURES",
    "PARTICLE_FEATURES",
    "Columns",
    "Feature",
    "available",
    "by_name_or_own",
    "custom_feature",
    "evaluate_features",
    "features_named",
    "names_of_features",
    "resolve_features",
]

Floats = npt.NDArray[np.float32]

_BLOCK = 2**15
"""Particles whose features are worked out at once: what they take stays in a processor's cache."""

_UNLIMITED = float(np.finfo(np.float32).max)

JETCLASS = "Qu, Li, Qian 2022 (arXiv:2202.03772), table 2; scaling of the public JetClass_full.yaml"
PARTICLENET = "Qu, Gouskos 2020 (arXiv:1902.08570), table 1"
PFN = "Komiske, Metodiev, Thaler 2019 (arXiv:1810.05165), section 4"


@dataclass(frozen=True)
class Feature:
    """One named number: its formula, and how it is scaled when no scaling is fitted.

    Attributes:
        name: its name in recipes, files and error messages.
        formula: ``(particles, jet) -> (n_particles,)``, or ``(jets) -> (n_jets,)`` for a jet feature.
        unit: "1" for a pure number.
        source: paper or page that defines it.
        center: subtracted from the value.
        scale: then multiplied by it.
        lower: least scaled value; what lies below is moved to it.
        upper: greatest scaled value.
        missing: the raw value that stands for NaN; None if NaN is an error.
    """

    name: str
    formula: Callable[..., Any]
    unit: str
    source: str
    center: float = 0.0
    scale: float = 1.0
    lower: float = -5.0
    upper: float = 5.0
    missing: float | None = None


_FLAGS = ("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")

PARTICLE_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("log_pt", formulas.log_pt, "ln GeV", JETCLASS, center=1.7, scale=0.7),
        Feature("log_energy", formulas.log_energy, "ln GeV", JETCLASS, center=2.0, scale=0.7),
        Feature("log_pt_rel", formulas.log_pt_rel, "1", JETCLASS, center=-4.7, scale=0.7),
        Feature("log_energy_rel", formulas.log_energy_rel, "1", JETCLASS, center=-4.7, scale=0.7),
        Feature("delta_r", formulas.delta_r, "rad", JETCLASS, center=0.2, scale=4.0),
        Feature("delta_eta", formulas.delta_eta, "1", JETCLASS),
        Feature("delta_phi", formulas.delta_phi, "rad", JETCLASS),
        Feature("charge", partial(formulas.field, name="charge"), "e", JETCLASS),
        *(Feature(flag, partial(formulas.field, name=flag), "1", JETCLASS) for flag in _FLAGS),
        Feature("tanh_d0", partial(formulas.tanh, name="d0"), "tanh mm", JETCLASS, missing=0.0),
        Feature(
            "d0_error", partial(formulas.field, name="d0_error"), "mm", JETCLASS, lower=0.0, upper=1.0, missing=0.0
        ),
        Feature("tanh_dz", partial(formulas.tanh, name="dz"), "tanh mm", JETCLASS, missing=0.0),
        Feature(
            "dz_error", partial(formulas.field, name="dz_error"), "mm", JETCLASS, lower=0.0, upper=1.0, missing=0.0
        ),
        Feature("pt_fraction", formulas.pt_fraction, "1", PFN, scale=10.0, upper=10.0),
        Feature(
            "pt_to_axis",
            formulas.pt_to_axis,
            "GeV",
            "DeepJet, Bols et al. 2020 (arXiv:2008.10519), table 1",
            scale=0.5,
        ),
        Feature(
            "layer", partial(formulas.field, name="layer"), "1", "layer of a calorimeter, from 0", center=3.0, scale=0.3
        ),
        Feature("time", partial(formulas.field, name="time"), "ns", "time of a cell", missing=0.0),
        Feature("rapidity", formulas.rapidity, "1", "PDG Review, Kinematics", scale=0.5),
        Feature("mass", formulas.mass, "GeV", "PDG Review, Kinematics"),
        *(
            Feature(f"is_{name}", partial(formulas.is_pid, code=code), "1", PFN)
            for name, code in pdg.JET_PARTICLES.items()
        ),
    )
}
"""Every built-in particle feature by name."""

JET_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("jet_log_pt", observables.log_pt, "ln GeV", "ln of the jet's own pT", center=6.2, scale=2.0),
        Feature("jet_abs_eta", observables.abs_eta, "1", "|η| of the jet", center=0.8, scale=1.2),
        Feature("n_particles", observables.n_particles, "1", observables.QG, center=40.0, scale=0.05),
        Feature("n_charged", observables.n_charged, "1", observables.QG, center=25.0, scale=0.08),
        Feature(
            "particle_mass",
            observables.particle_mass,
            "GeV",
            "PDG Review, Kinematics",
            center=60.0,
            scale=0.02,
        ),
        Feature("girth", observables.girth, "1", observables.QG, center=0.06, scale=20.0),
        Feature(
            "les_houches_angularity",
            observables.les_houches_angularity,
            "1",
            observables.LHA,
            center=0.3,
            scale=8.0,
        ),
        Feature("pt_dispersion", observables.pt_dispersion, "1", observables.CMS_QG, center=0.35, scale=8.0),
        Feature("leading_pt_fraction", observables.leading_pt_fraction, "1", observables.QG, center=0.2, scale=6.0),
    )
}
"""Every built-in jet feature by name."""

FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "kinematics": (
        "log_pt",
        "log_energy",
        "log_pt_rel",
        "log_energy_rel",
        "delta_r",
        "delta_eta",
        "delta_phi",
    ),
    "type": ("charge", *_FLAGS),
    "identity": tuple(f"is_{name}" for name in pdg.JET_PARTICLES),
    "displacement": ("tanh_d0", "d0_error", "tanh_dz", "dz_error"),
    "cell": ("layer", "time"),
    "jetclass": (
        "log_pt",
        "log_energy",
        "log_pt_rel",
        "log_energy_rel",
        "delta_r",
        "charge",
        *_FLAGS,
        "tanh_d0",
        "d0_error",
        "tanh_dz",
        "dz_error",
        "delta_eta",
        "delta_phi",
    ),
}
"""Groups of particle features. ``jetclass`` has the 17 of the JetClass paper, in its order. A 1×1 convolution over
the one-hot codes of ``identity`` is an embedding of the PDG code."""

AUTO_SETS = ("kinematics", "type", "identity", "displacement", "cell")
"""What ``features="auto"`` takes, as far as the jets can provide it."""


def custom_feature(function: Callable[..., Any]) -> Feature:
    """Returns a feature named like ``function``, to be scaled on the training jets or left as it is.

    Raises:
        FeatureError: it has no name of its own.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise FeatureError(f"asked for the feature {name or function!r}; give the function a name, with def.")
    return Feature(name, function, "1", f"user function {name}", lower=-_UNLIMITED, upper=_UNLIMITED)


def by_name_or_own(features: Iterable[Feature], known: Mapping[str, Feature]) -> tuple[str | Feature, ...]:
    """Returns the names of those features that are built in, and the others as they are."""

    def about(feature: Feature) -> tuple[Any, ...]:  # formulas of unpickled features are equal, but not the same
        return tuple(getattr(feature, part.name) for part in fields(Feature) if part.name != "formula")

    return tuple(
        feature.name if feature.name in known and about(known[feature.name]) == about(feature) else feature
        for feature in features
    )


def resolve_features(
    names: str | Iterable[str | Feature | Callable[..., Any]],
    known: dict[str, Feature] = PARTICLE_FEATURES,
) -> tuple[Feature, ...]:
    """Returns the features that ``names`` means, in order and without repeats.

    Args:
        names: a feature, the name of a set, or several of these; a Python function counts as a feature.
        known: where names are looked up.

    Raises:
        FeatureError: a name is neither a feature, nor a set, nor the feature of a plug-in (`hepnn.plugins`).
        DependencyError: the plug-in cannot be imported.
    """
    found: dict[str, Feature] = {}

    def add(feature: Feature) -> None:
        if found.setdefault(feature.name, feature) != feature:
            raise FeatureError(f"asked for two different features called {feature.name!r}; rename one.")

    for name in [names] if isinstance(names, str) else names:
        if isinstance(name, Feature):
            add(name)
        elif callable(name):
            add(custom_feature(name))
        elif name in known:
            add(known[name])
        elif known is PARTICLE_FEATURES and name in FEATURE_SETS:
            for member in FEATURE_SETS[name]:
                add(known[member])
        elif (added := find_plugin("features", name)) is not None:
            add(replace(added if isinstance(added, Feature) else custom_feature(added), name=name))
        else:
            others = [*known, *FEATURE_SETS, *plugin_names("features")]
            raise FeatureError(
                f"asked for the feature {name!r}; closest: {closest(name, others)}. Sets: {', '.join(FEATURE_SETS)}."
            )
    return tuple(found.values())


def available(jets: ak.Array, collection: str = "particles") -> tuple[str, ...]:
    """Returns the names of the feature sets in `AUTO_SETS` that these jets can provide.

    Args:
        jets: (jet,) records.
        collection: the field with the list of records.
    """
    first = jets[:1]

    def possible(name: str) -> bool:
        try:
            for feature in resolve_features(name):
                feature.formula(*next(_blocks(first, flat_members(first, collection), what=collection))[1])
        except FeatureError:
            return False
        return True

    with np.errstate(all="ignore"):
        return tuple(name for name in AUTO_SETS if possible(name))


def _blocks(
    jets: ak.Array, members: tuple[ak.Array, npt.NDArray[np.int64]], *, what: str
) -> Iterator[tuple[slice, tuple[Columns, Columns]]]:
    """Yields blocks of records: which they are, their columns and those of their jets; one without records at least."""
    records, counts = members
    of_records, of_jets = columns_of(records, what=what), columns_of(jets, what="jet")
    ends = np.cumsum(counts)
    jet, first = 0, 0
    while True:
        next_jet = max(int(np.searchsorted(ends, first + _BLOCK, side="right")), jet + 1)
        last = int(ends[jet:next_jet].max(initial=first))
        rows = slice(first, last)
        yield rows, (rows_of(of_records, rows), rows_of(of_jets, slice(jet, next_jet), repeat=counts[jet:next_jet]))
        jet, first = next_jet, last
        if jet >= len(counts):
            return


def evaluate_features(jets: ak.Array, features: Sequence[Feature], *, collection: str | None = "particles") -> Floats:
    """Returns the raw values of ``features``, float32.

    Args:
        jets: (jet,) records.
        features: what to work out.
        collection: the list of records the formulas are about; None for jet features.

    Returns:
        (n, feature): n counts the particles of all jets, one jet after another, or the jets if ``collection`` is
        None.

    Raises:
        FeatureError: a field is missing, a formula returns the wrong length, or a value is NaN or infinite where the
            feature does not allow for it.
    """
    n = len(jets)
    blocks: Iterable[tuple[slice, tuple[Any, ...]]] = [(slice(n), (jets,))]
    if collection is not None:
        members = flat_members(jets, collection)
        n, blocks = len(members[0]), _blocks(jets, members, what=collection)
    values = np.empty((n, len(features)), np.float32)
    are_finite = True
    with np.errstate(all="ignore"):  # what goes wrong is found, counted and named below
        for rows, arguments in blocks:
            block = np.empty((len(features), len(values[rows])), np.float32)
            for of_feature, feature in zip(block, features, strict=True):
                of_feature[:] = _result(feature, arguments, len(of_feature), what=collection or "jets")
                if feature.missing is not None:
                    of_feature[np.isnan(of_feature)] = feature.missing
            are_finite = are_finite and bool(np.isfinite(block).all())
            values[rows] = block.T  # to write features side by side one after another takes twice as long
    if not are_finite:
        _refuse(jets, features, np.isfinite(values), collection)
    return values


def _result(feature: Feature, arguments: tuple[Any, ...], n: int, *, what: str) -> npt.NDArray[Any]:
    """What a formula gives for ``n`` records."""
    try:
        result = np.asarray(feature.formula(*arguments))
    except FeatureError as error:
        raise FeatureError(f"feature {feature.name!r}: {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise FeatureError(f"feature {feature.name!r} failed: {type(error).__name__}: {error}") from error
    if result.shape != (n,):
        raise FeatureError(
            f"feature {feature.name!r} has to give one number each for {n} records of {what}; its formula returned the "
            f"shape {result.shape}."
        )
    return result


def _refuse(jets: ak.Array, features: Sequence[Feature], finite: npt.NDArray[np.bool_], collection: str | None) -> None:
    row, column = np.argwhere(~finite)[0]
    n_bad = int((~finite[:, column]).sum())
    if collection is None:
        place = f"jet {row}"
    else:
        offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(jets[collection])))])
        jet = int(np.searchsorted(offsets, row, side="right")) - 1
        record = jets[collection][jet][int(row - offsets[jet])]
        fields = {name: ak.to_list(record[name]) for name in ("pt", "eta", "phi", "energy") if name in record.fields}
        place = f"entry {row - offsets[jet]} of {collection!r} of jet {jet}, {fields}"
    raise FeatureError(
        f"feature {features[column].name!r} is NaN or infinite for {n_bad} of {len(finite)} records; first at {place}. "
        "Leave such jets out, or give the field a value in the schema, such as where(isnan(part_charge), 0, part_charge)."
    )


def names_of_features(features: Sequence[Feature], known: dict[str, Feature]) -> list[str | dict[str, str]]:
    """Returns what JSON can hold of features; one that is not among those known is marked as the user's own."""
    return [
        feature if isinstance(feature, str) else {"custom": feature.name} for feature in by_name_or_own(features, known)
    ]


def features_named(
    names: Sequence[str | Mapping[str, str]], known: dict[str, Feature], custom: Mapping[str, Callable[..., Any]]
) -> tuple[Feature, ...]:
    """Returns the features that `names_of_features` described.

    Args:
        names: their descriptions.
        known: the built-in ones.
        custom: the user's own by name.

    Raises:
        FeatureError: one is neither built in, nor of a plug-in, nor among ``custom``.
    """
    wanted: list[Any] = []
    for name in names:
        if isinstance(name, str):
            wanted.append(name)
        elif name["custom"] in custom:
            wanted.append(custom[name["custom"]])
        elif name["custom"] in plugin_names("features"):
            wanted.append(name["custom"])
        else:
            raise FeatureError(f"it has the feature {name['custom']!r}, which is not hepnn's.")
    return resolve_features(wanted, known)
