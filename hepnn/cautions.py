"""Cautions: sentences on what to beware of in the numbers of an evaluation. They come first on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hepnn.assessment import Assessment, Elsewhere
from hepnn.drift import warnings_of_drift
from hepnn.judging import Sample
from hepnn.oddities import text_of_odd

__all__ = ["warnings_of", "warnings_of_others"]

_FEW_JETS = 1000
"""Jets of a class below which a rejection at 30 % efficiency rests on a handful of background jets."""

_TIMES_FLOOR = 3.0
"""How many times the calibration error of a calibrated tagger one has to be for a warning, with `_LEAST_ECE`."""

_LEAST_ECE = 0.01
"""Calibration error below which there is no warning, however many jets tell it from 0."""

_CLEAR = 3.0
"""Standard deviations from which a difference between two sets of jets is spoken of."""


def warnings_of(assessment: Assessment, sample: Sample, *, weights: Any = None) -> list[str]:
    """Returns sentences on what to beware of in these numbers."""
    few = [f"{name} ({n:,})" for name, n in assessment.n_jets.items() if n < _FEW_JETS]
    found = (
        [f"There are few jets of {', '.join(few)}: numbers that few of them pass for rest on a handful."] if few else []
    )
    if weights is not None:
        weights = np.asarray(weights, np.float64)
        if (negative := float((weights < 0).mean())) > 0:
            found.append(
                f"{negative:.1%} of the weights are negative; curves can turn back and efficiencies leave 0 to 1."
            )
        labels = sample.labels.astype(str)
        for name, n in assessment.n_jets.items():
            w = weights[labels == name]
            effective = float(w.sum() ** 2 / (w**2).sum())
            if effective < n / 2:
                found.append(
                    f"The {n:,} weighted jets of {name} count for {effective:,.0f}: few carry most of the weight."
                )
    if text := text_of_odd(sample.odd):
        found.append(text[0].upper() + text[1:])
    found += [
        f"{n:,} jets have no finite {name}; they are left out where it is shown."
        for name, values in sample.columns.items()
        if (n := int(np.count_nonzero(~np.isfinite(values))))
    ]
    found += [f"For {name}, {text}" for name, drifted in sample.drifts.items() for text in warnings_of_drift(drifted)]
    for name, each in assessment.evaluations.items():
        if missing := [known for known, n in each.n_jets.items() if not n]:
            found.append(f"{name} also knows {', '.join(missing)}, of which there are no jets here.")
    for name, curve in assessment.reliabilities.items():
        if curve.ece.value > max(_LEAST_ECE, _TIMES_FLOOR * curve.ece_floor):
            found.append(
                f"The probabilities of {name} are off by {curve.ece.value:.1%} on average (calibrated: {curve.ece_floor:.1%}); "
                "the order of the jets is not touched by that. Train with --calibrate, or mind it where you read a score as "
                "a probability."
            )
    for matchup in assessment.matchups:
        for name, part in matchup.separations.items():
            if none := [f"{at:.0%}" for at, value in part.rejection.items() if not np.isfinite(value.value)]:
                found.append(
                    f"{name} lets no jet of {part.background} pass at {', '.join(none)} efficiency of {part.signal}: the "
                    "rejection is a limit."
                )
    sculpted: dict[tuple[str, str], list[str]] = {}
    for matchup in assessment.matchups:
        if matchup.sculpting is not None:
            for name, value in matchup.sculpting.divergence.items():
                if value.value > _TIMES_FLOOR * matchup.sculpting.floor[name]:
                    text = f"{matchup.signal} ({value.value:.2g} bits; by chance {matchup.sculpting.floor[name]:.1g})"
                    sculpted.setdefault((name, matchup.background), []).append(text)
    found += [
        f"A cut on {name} changes the mass of {background}; Jensen–Shannon divergence by signal: {', '.join(texts)}."
        for (name, background), texts in sculpted.items()
    ]
    return found


def warnings_of_others(others: Mapping[str, Sequence[Elsewhere]]) -> list[str]:
    """Returns sentences on other jets, by their name, on which taggers do differently."""
    return [
        f"{each.tagger} separates {each.signal} from {each.background} differently on {jets}: AUC {each.auc}, {each.more} "
        "more than here. If those are the jets it was trained on, it learned some of that by heart; else they are of "
        "another kind."
        for jets, rows in others.items()
        for each in rows
        if abs(each.more.value) > _CLEAR * each.more.error
    ]
