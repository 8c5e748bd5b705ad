"""Assessment: all the numbers of any number of taggers on the same jets, and how they compare.

A `Sample` of `hepnn.judging` goes in, an `Assessment` comes out; `hepnn.evaluation_page` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.calibration import Reliability, reliability
from hepnn.discriminants import discriminant
from hepnn.errors import InputError
from hepnn.evaluation import EFFICIENCIES, Evaluation, Separation, evaluate, separate
from hepnn.friends import Rating
from hepnn.judging import Sample
from hepnn.paired import Paired, compare_rejections
from hepnn.roc import Measured, auc_difference
from hepnn.sculpting import MassSculpting, mass_sculpting
from hepnn.working_points import Efficiencies, efficiencies, quantile_edges, threshold_at

__all__ = ["CUT", "Assessment", "Comparison", "Matchup", "assess"]

Floats = npt.NDArray[np.floating[Any]]

CUT = 0.5
"""Signal efficiency of the cut that efficiencies against columns, and the mass, are shown for."""

_N_BINS = 8
"""Bins of a column, of about as many jets each."""


class Comparison(NamedTuple):
    """A tagger against the first one, on the same jets.

    Attributes:
        auc: its AUC less that of the first.
        rejections: how its rejections compare with those of the first.
    """

    auc: Measured
    rejections: Paired

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers, without the curve."""
        return {
            "auc": self.auc.to_dict(),
            "rejection": {str(at): value.to_dict() for at, value in self.rejections.difference.items()},
        }


class Matchup(NamedTuple):
    """One signal against its background, for all taggers.

    Attributes:
        signal: its name.
        background: its name, or "rest".
        separations: by tagger.
        comparisons: of each tagger but the first with that, by name.
        against: share of jets that pass the cut at `CUT`, by column, by class, by tagger.
        sculpting: the mass of the background after that cut, by tagger; None without a mass.
    """

    signal: str
    background: str
    separations: Mapping[str, Separation]
    comparisons: Mapping[str, Comparison]
    against: Mapping[str, Mapping[str, Mapping[str, Efficiencies]]]
    sculpting: MassSculpting | None

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {
            "signal": self.signal,
            "background": self.background,
            "separations": {name: each.to_dict() for name, each in self.separations.items()},
            "less_the_first": {name: each.to_dict() for name, each in self.comparisons.items()},
            "passing_at_half_the_signal": {
                column: {
                    which: {name: each.to_dict() for name, each in by_tagger.items()}
                    for which, by_tagger in by_class.items()
                }
                for column, by_class in self.against.items()
            },
            "mass": None if self.sculpting is None else self.sculpting.to_dict(),
        }


class Assessment(NamedTuple):
    """All numbers.

    Attributes:
        n_jets: by class.
        evaluations: by tagger, of those that give probabilities.
        reliabilities: by tagger, of the same.
        matchups: each signal against its background.
    """

    n_jets: Mapping[str, int]
    evaluations: Mapping[str, Evaluation]
    reliabilities: Mapping[str, Reliability]
    matchups: tuple[Matchup, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        return {
            "n_jets": dict(self.n_jets),
            "taggers": {name: each.to_dict() for name, each in self.evaluations.items()},
            "calibration": {name: each.to_dict() for name, each in self.reliabilities.items()},
            "matchups": [each.to_dict() for each in self.matchups],
        }


def assess(
    sample: Sample,
    *,
    signal: str | None = None,
    background: str | None = None,
    fractions: Mapping[str, float] | None = None,
    weights: Floats | None = None,
    against: Sequence[str] = (),
    mass: str | None = None,
) -> Assessment:
    """Returns all numbers of all taggers of the sample.

    Args:
        sample: what `hepnn.judging.judge` returns.
        signal: as in `hepnn.evaluation.evaluate`.
        background: as there.
        fractions: as there.
        weights: (jet,) or None.
        against: columns of the sample.
        mass: the column with the mass, or None.

    Raises:
        InputError: as in `evaluate`; or a single score stands for no one signal.
    """
    names, counts = np.unique(sample.labels.astype(str), return_counts=True)
    evaluations = {
        name: evaluate(
            sample.labels,
            rating.values,
            rating.classes,
            signal=signal,
            background=background,
            fractions=fractions,
            weights=weights,
        )
        for name, rating in sample.ratings.items()
        if rating.classes
    }
    if fractions is not None and not evaluations:
        raise InputError(
            f"asked for a discriminant with the fractions {dict(fractions)}; the scores {', '.join(sample.ratings)} are one "
            "number a jet. Give a tagger, or scores with one branch a class, such as score_*."
        )
    roles = _roles(sample, evaluations, names.tolist(), signal, background)
    return Assessment(
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
        evaluations,
        {
            name: reliability(
                sample.labels, sample.ratings[name].values, classes=sample.ratings[name].classes, weights=weights
            )
            for name in evaluations
        },
        tuple(
            _matchup(sample, evaluations, role, fractions=fractions, weights=weights, against=against, mass=mass)
            for role in roles
        ),
    )


def scores_of(rating: Rating, *, signal: str, background: str | None, fractions: Mapping[str, float] | None) -> Floats:
    """Returns one number a jet, high for signal, (jet,): the discriminant, or the score itself."""
    if not rating.classes:
        return np.asarray(rating.values, np.float64)
    return discriminant(
        rating.values, classes=rating.classes, signal=signal, background=background, fractions=fractions
    )


def _roles(
    sample: Sample,
    evaluations: Mapping[str, Evaluation],
    present: Sequence[str],
    signal: str | None,
    background: str | None,
) -> list[tuple[str, str | None]]:
    """Signals and backgrounds, None for all others."""
    alone = [name for name, rating in sample.ratings.items() if not rating.classes]
    if evaluations:
        first = next(iter(evaluations.values()))
        roles = [
            (part.signal, part.background if part.background in first.classes else None) for part in first.separations
        ]
    else:
        others = [name for name in present if name != background]
        chosen = signal or (others[0] if background in present and len(others) == 1 else None)
        if chosen is None:
            raise InputError(
                f"asked to judge the scores {', '.join(alone)} on jets of {', '.join(present)}; name the class that they "
                "are high for as the signal."
            )
        roles = [(chosen, background)]
    if alone and len({name for name, _ in roles}) > 1:
        raise InputError(
            f"asked to judge the scores {', '.join(alone)}, one number a jet, for the signals "
            f"{', '.join(name for name, _ in roles)}; name the one that they are high for as the signal."
        )
    return roles


def _matchup(
    sample: Sample,
    evaluations: Mapping[str, Evaluation],
    role: tuple[str, str | None],
    *,
    fractions: Mapping[str, float] | None,
    weights: Floats | None,
    against: Sequence[str],
    mass: str | None,
) -> Matchup:
    signal, background = role
    labels = sample.labels.astype(str)
    chosen = np.ones(len(labels), bool) if background is None else (labels == signal) | (labels == background)
    is_signal = labels[chosen] == signal
    w = None if weights is None else np.asarray(weights, np.float64)[chosen]
    scores = {
        name: scores_of(
            rating._replace(values=rating.values[chosen]), signal=signal, background=background, fractions=fractions
        )
        for name, rating in sample.ratings.items()
    }
    made = {
        name: [part for part in each.separations if (part.signal, part.background) == (signal, background or "rest")]
        for name, each in evaluations.items()
    }
    separations = {
        name: made[name][0]
        if made.get(name)
        else separate(labels[chosen], x, signal=signal, background=background, weights=w)
        for name, x in scores.items()
    }
    first, *others = scores
    comparisons = {
        name: Comparison(
            auc_difference(is_signal, scores[name], scores[first], weights=w),
            compare_rejections(
                is_signal,
                scores[name],
                scores[first],
                at=EFFICIENCIES,
                weights=w,
                curves=(separations[name].roc, separations[first].roc),
            ),
        )
        for name in others
    }
    passed = {
        name: x >= threshold_at(x[is_signal], CUT, weights=None if w is None else w[is_signal])
        for name, x in scores.items()
    }
    return Matchup(
        signal,
        background or "rest",
        separations,
        comparisons,
        {
            column: _by_class(sample.columns[column][chosen], is_signal, passed, w, (signal, background or "rest"))
            for column in against
        },
        None
        if mass is None
        else mass_sculpting(
            sample.columns[mass][chosen][~is_signal],
            {name: flags[~is_signal] for name, flags in passed.items()},
            weights=None if w is None else w[~is_signal],
        ),
    )


def _by_class(
    values: Floats,
    is_signal: npt.NDArray[np.bool_],
    passed: Mapping[str, npt.NDArray[np.bool_]],
    weights: Floats | None,
    names: tuple[str, str],
) -> dict[str, dict[str, Efficiencies]]:
    edges = quantile_edges(values, n_bins=_N_BINS)
    return {
        which: {
            name: efficiencies(
                flags[side], values[side], edges=edges, weights=None if weights is None else weights[side]
            )
            for name, flags in passed.items()
        }
        for which, side in zip(names, (is_signal, ~is_signal), strict=True)
    }
