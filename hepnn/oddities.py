"""Oddities: what becomes of jets that no physics makes, decided once for reading, training, tagging and evaluating.

What has no meaning is an error, which names the first such jet and how to leave it out: `check_momenta`. What has one,
but hardly comes from a detector, is counted, and said once as a `hepnn.errors.HepnnWarning` and on the page of an
evaluation: `odd_in`, `repeated_in`. A jet has a score that is NaN only where a selection left it out.

- pt, eta, phi or energy of a jet, particle or cell missing (None, NaN) or infinite, or a momentum beyond any number:
  error; with ``--select is_sound`` such jets have NaN for scores, and the others keep their place.
- pt or energy of a particle 0 or negative, or of a jet that has particles: the same.
- energy of a cell or shower 0 or negative, as noise makes it: images take it; error where a feature is its logarithm.
- pt and energy 0 of a jet without particles: a score, as of any jet without particles.
- energy below the momentum: mass 0; counted for particles if by more than a hundredth.
- negative mass in a schema's ``energy_from_mass``: stands for m² < 0, as in ROOT.
- η of a particle beyond ±10: counted; features are cut at their limits.
- φ beyond ±π: the same score as within; counted beyond ±2π, since it may be degrees.
- more particles than ``max_particles``: the hardest count; training and ``hepnn inspect`` say how many jets were cut;
  counted if more than 5,000.
- the same particle twice in a jet: both count; counted.
- charge or a flag missing or infinite: error where a feature needs it; in images neither charged nor neutral.
- pid missing, infinite or no whole number: a particle of no kind, without charge; counted.
- impact parameter or time missing: 0, the feature's value for that.
- no pixel filled, or pixels that sum up to 0 or less: a score; the image is not normalised.
- no jets in a file: no rows; error where no file has any to train or judge with.
- jets of one class only, or a class with a single jet: error in training and, of one class, in evaluating.
- jets that come more than once: counted in training, evaluating and ``hepnn convert``: errors come out too small, and
  validation is no test.
- validation jets that are trained on, too: counted in training.
- two labels at once: error, with file and entry.
- no label: tagged; error in training and evaluating; ``--select has_label`` leaves such jets out.
- a label that the tagger does not know: tagged; error in evaluating; ``--select "quark | gluon"`` takes jets of the
  schema's classes.
- a weight missing, NaN or infinite; weights of a class that sum to 0: error.
- a negative weight: error in training, where the loss would have no bound; counted in evaluating.
- a score of another program missing, NaN or infinite: error; the selection that the scores were made with leaves such
  jets out.
- a column of an evaluation missing, NaN or infinite: left out where it is shown; counted. Of the mass that is to be
  kept from sculpting: error.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import HepnnWarning, InputError
from hepnn.jets import PARTICLE_FIELDS, column_of, flat_members, members_of

__all__ = ["check_momenta", "fingerprints", "is_sound", "odd_in", "repeated_in", "text_of_odd", "warn_of_odd"]

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]

_GREATEST_ETA = 10.0
"""A particle of 1 GeV of pT has 11 TeV there, more than a proton of the LHC."""

_GREATEST_PHI = 2 * np.pi
"""rad; sources count azimuths from −π or from 0."""

_LEAST_ENERGY = 0.99
"""Of the momentum: rounding to half precision makes energies smaller by a thousandth."""

_MOST_PARTICLES = 5_000
"""In a jet; in a whole central collision of lead there are some 2,000 charged ones a unit of η (arXiv:1512.06104)."""

_N_NAMED = 5
"""Jets that an error names."""


def check_momenta(jets: ak.Array) -> None:
    """Refuses jets whose momenta are none.

    Args:
        jets: (jet,) records that keep the contract of `hepnn.jets`.

    Raises:
        InputError: as said above; it names the first field and the first jets.
    """
    for what, field, wrong in _unsound(jets):
        if wrong.any():
            at = np.flatnonzero(wrong)
            named = ", ".join(map(str, at[:_N_NAMED])) + ("…" if len(at) > _N_NAMED else "")
            raise InputError(
                f"asked for {what} with a momentum; {field} is missing, infinite, too large{_or_not_positive(jets, field)} in "
                f"{len(at)} of {len(jets)} jets: {named}, counted from 0 among these. Leave them out with the selection "
                "is_sound, of arrays with jets[hepnn.oddities.is_sound(jets)]; or give the field a value in the schema."
            )


def is_sound(jets: ak.Array) -> Flags:
    """Returns which jets `check_momenta` takes, (jet,)."""
    sound = np.ones(len(jets), bool)
    for _, _, wrong in _unsound(jets):
        sound &= ~wrong
    return sound


def _or_not_positive(jets: ak.Array, field: str) -> str:
    return " or not positive" if field in ("pt", "energy") and members_of(jets) == "particles" else ""


def _unsound(jets: ak.Array) -> list[tuple[str, str, Flags]]:
    """What is looked at, its field, and in which jets it is no momentum, (jet,)."""
    members = members_of(jets)
    records, counts = flat_members(jets, members)
    has_sign = members == "particles"
    offsets = np.concatenate([[0], np.cumsum(counts)])
    found = []
    for what, columns in (("jets", jets), (members, records)):
        values = {name: _numbers(columns, name) for name in PARTICLE_FIELDS}
        with np.errstate(invalid="ignore", over="ignore"):
            for name, each in values.items():
                wrong = ~np.isfinite(each)
                if name == "eta" and (np.abs(each) > _GREATEST_ETA).any():
                    wrong |= ~np.isfinite(values["pt"].astype(np.float64) * np.cosh(each.astype(np.float64)))
                if has_sign and name in ("pt", "energy"):
                    wrong |= (each < 0) if what == "jets" else (each <= 0)
                    if what == "jets":
                        wrong |= (each == 0) & (counts > 0)
                found.append((what, name, wrong if what == "jets" else _any_in(wrong, offsets)))
    return found


def _any_in(flags: Flags, offsets: npt.NDArray[np.int64]) -> Flags:
    """Whether any member is flagged, (jet,)."""
    if not flags.any():
        return np.zeros(len(offsets) - 1, bool)
    sums = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(sums[offsets[1:]] > sums[offsets[:-1]])


def _numbers(records: ak.Array, name: str) -> Values:
    """The numbers of a field, NaN where they are missing."""
    return _filled(column_of(records, name))


def _filled(values: Values) -> Values:
    return np.ma.filled(values.astype(np.result_type(values.dtype, np.float32), copy=False), np.nan)


def odd_in(jets: ak.Array) -> dict[str, int]:
    """Returns how many jets or particles are odd, though they have a meaning, by what they are in words.

    Args:
        jets: (jet,) records that `check_momenta` takes.
    """
    members = members_of(jets)
    records, counts = flat_members(jets, members)
    pt, eta, phi, energy = (_numbers(records, name) for name in PARTICLE_FIELDS)
    found: dict[str, Any] = {
        f"jets of more than {_MOST_PARTICLES:,} {members}": np.count_nonzero(counts > _MOST_PARTICLES),
        f"{members} with |η| above {_GREATEST_ETA:g}": np.count_nonzero(np.abs(eta) > _GREATEST_ETA),
        f"{members} with |φ| above 2π (degrees?)": np.count_nonzero(np.abs(phi) > _GREATEST_PHI),
        "jets with |φ| above 2π (degrees?)": np.count_nonzero(np.abs(_numbers(jets, "phi")) > _GREATEST_PHI),
    }
    if members == "particles":
        with np.errstate(all="ignore"):  # scores of other programs are judged on whatever jets there are
            found["particles of less energy than momentum"] = np.count_nonzero(
                energy < _LEAST_ENERGY * pt * np.cosh(eta)
            )
        same = np.ones(max(len(pt) - 1, 0), bool)
        for values in (pt, eta, phi, energy):  # ordered by pt, those that are the same stand side by side
            same &= values[1:] == values[:-1]
        first = np.cumsum(counts)[:-1]
        same[first[(first > 0) & (first < len(pt))] - 1] = False
        found["particles that are in their jet twice"] = np.count_nonzero(same)
        if "pid" in records.fields:
            found["particles whose pid is no code"] = _n_no_codes(records)
    return {text: int(n) for text, n in found.items() if n}


def _n_no_codes(records: ak.Array) -> int:
    pid = column_of(records, "pid")
    codes = _filled(pid) if isinstance(pid, np.ma.MaskedArray) or pid.dtype.kind == "f" else np.zeros(0)
    with np.errstate(invalid="ignore"):
        return int(np.count_nonzero(~(np.isfinite(codes) & (np.floor(codes) == codes))))


def text_of_odd(odd: Mapping[str, int]) -> str:
    """Returns a sentence on what was counted; "" for nothing.

    Args:
        odd: numbers by what they count in words, `odd_in`.
    """
    if not odd:
        return ""
    return f"there are odd jets: {', '.join(f'{n:,} {text}' for text, n in odd.items())}. They count as they are."


def warn_of_odd(odd: Mapping[str, int]) -> None:
    """Says what was counted, as a `hepnn.errors.HepnnWarning` at the line that called hepnn, if anything was."""
    if text := text_of_odd(odd):
        frame, level = inspect.currentframe(), 1
        while frame is not None and frame.f_globals.get("__name__", "").startswith("hepnn."):
            frame, level = frame.f_back, level + 1
        warnings.warn(text, HepnnWarning, stacklevel=level)


def fingerprints(jets: ak.Array) -> npt.NDArray[np.uint64]:
    """Returns a number for each jet that has members, the same for jets that are the same.

    Momenta of the jet and its members count, in the order in which they are. Of a million different jets two have the
    same number with a probability of 3e-8.

    Args:
        jets: (jet,) records that keep the contract of `hepnn.jets`.
    """
    members = members_of(jets)
    records, counts = flat_members(jets, members)
    ends = np.cumsum(counts)
    place = np.arange(len(records)) - np.repeat(ends - counts, counts)
    total = np.zeros(len(jets), np.uint64)
    for number, name in enumerate(PARTICLE_FIELDS):
        total += _mixed(_numbers(jets, name), np.full(1, 2 * number))
        sums = np.concatenate(
            [np.zeros(1, np.uint64), np.cumsum(_mixed(_numbers(records, name), place * 8 + 2 * number + 1))]
        )
        total += sums[ends] - sums[ends - counts]
    return total[counts > 0]


def _mixed(values: Values, salt: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The bits of numbers, well mixed, so that their sums differ (SplitMix64: Steele, Lea, Flood 2014, OOPSLA)."""
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    bits = bits + (salt.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def repeated_in(of_jets: npt.NDArray[np.uint64]) -> dict[str, int]:
    """Returns how many jets came before, in the manner of `odd_in`.

    Args:
        of_jets: what `fingerprints` made.
    """
    n = len(of_jets) - len(np.unique(of_jets))
    return {"jets that are there more than once, so that errors come out too small": n} if n else {}
