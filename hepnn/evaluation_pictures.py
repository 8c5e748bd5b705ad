"""The pictures of an evaluation, each by its caption, and the looks into taggers that some of them show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from matplotlib.axes import Axes

from hepnn.assessment import Assessment, Matchup
from hepnn.evaluation_plots import (
    plot_efficiencies,
    plot_importance,
    plot_mass,
    plot_occlusion,
    plot_reliability,
    plot_roc_ratio,
)
from hepnn.image_plots import plot_average_images
from hepnn.images import JetImage
from hepnn.insight import Importance, Occlusion, occlusion, permutation_importance
from hepnn.jets import members_of
from hepnn.judging import Sample
from hepnn.plots import event_display, plot_confusion, plot_history, plot_roc, plot_scores
from hepnn.robustness import Varied, robustness

__all__ = ["About", "Insight", "look_into", "pictures_of"]

_SPREAD_IMAGE = 0.8
"""Width of average images in Δη and Δφ, in rad: that of jets with R = 0.4; for wider ones, their core."""

_N_SHUFFLED = 3000
"""Jets whose features are shuffled, one feature after the other."""


class Insight(NamedTuple):
    """A look into one tagger.

    Attributes:
        varied: how it does on varied jets.
        importances: what its features are worth.
        occlusions: what the particles of a jet of each class do to its score, by class.
    """

    varied: tuple[Varied, ...]
    importances: tuple[Importance, ...]
    occlusions: Mapping[str, Occlusion]


class About(NamedTuple):
    """What was evaluated, on what.

    Attributes:
        data: what the jets are, by name: files, schema, selection, weights.
        taggers: the trained ones, by name.
        warnings: of the reading and scoring, which come before those of the numbers.
        insights: looks into the taggers, by name.
    """

    data: Mapping[str, Any]
    taggers: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    insights: Mapping[str, Insight] = MappingProxyType({})


def look_into(tagger: Any, sample: Sample, *, signal: str, background: str) -> Insight:
    """Returns a look into a tagger with the jets that the sample shows; errors as in `robustness`."""
    jets = sample.shown
    labels = np.asarray(sample.labels[: len(jets)]).astype(str)
    return Insight(
        robustness(tagger, jets, signal=signal, background=background),
        permutation_importance(tagger, jets[:_N_SHUFFLED]),
        {
            name: occlusion(tagger, jets[_usual(jets, labels, name)], signal=signal, background=background)
            for name in (signal, background)
        },
    )


def pictures_of(assessment: Assessment, sample: Sample, about: About) -> Iterator[tuple[str, Axes]]:
    """Yields each picture by its caption."""
    if len(sample.ratings) == 1 and len(assessment.matchups) > 1:
        (name,) = sample.ratings
        yield (
            f"ROC: {name}",
            plot_roc({_versus(each): each.separations[name].roc for each in assessment.matchups}),
        )
    else:
        for each in assessment.matchups:
            rocs = {name: part.roc for name, part in each.separations.items()}
            ratios = {name: part.rejections.ratio for name, part in each.comparisons.items()}
            yield f"ROC: {_versus(each)}", plot_roc_ratio(rocs, ratios) if ratios else plot_roc(rocs)
    for each in assessment.matchups:
        for name, part in each.separations.items():
            xlabel = f"{name}: score of {each.signal}"
            yield f"Scores: {name}, {_versus(each)}", plot_scores(part.scores, xlabel=xlabel)
        if each.against:
            yield f"Efficiency: {_versus(each)}", plot_efficiencies(each.against)
        if each.sculpting is not None:
            yield f"Mass: {_versus(each)}", plot_mass(each.sculpting, background=each.background)
    for name, whole in assessment.evaluations.items():
        yield f"Confusion: {name}", plot_confusion(whole.confusion, whole.classes)
    if assessment.reliabilities:
        yield "Calibration", plot_reliability(assessment.reliabilities)
    for name, tagger in about.taggers.items():
        yield f"Training: {name}", plot_history(tagger.training_)
    for name, insight in about.insights.items():
        yield f"Insight: {name}, features", plot_importance(insight.importances)
        for of_class, found in insight.occlusions.items():
            yield f"Insight: {name}, a jet of {of_class}", plot_occlusion(found)
    yield from _of_jets(sample)


def _of_jets(sample: Sample) -> Iterator[tuple[str, Axes]]:
    """Average images and a jet of each class, where jets are made of particles."""
    jets = sample.shown
    if members_of(jets) != "particles":
        return
    labels = np.asarray(sample.labels[: len(jets)]).astype(str)
    images = JetImage(width=_SPREAD_IMAGE).tensors(jets)
    names = np.unique(labels).tolist()
    averages = {name: images.moments(labels == name)[0][..., 0] for name in names}
    yield "The jets: average images", plot_average_images(averages, width=_SPREAD_IMAGE)
    for name in names:
        yield f"The jets: one of {name}", event_display(jets[_usual(jets, labels, name)])


def _usual(jets: ak.Array, labels: Any, name: str) -> int:
    """Where a jet of a class is that has as many particles as half of them have at most."""
    of_class = np.flatnonzero(labels == name)
    counts = ak.to_numpy(ak.num(jets.particles))[of_class]
    return int(of_class[np.argsort(counts, kind="stable")[len(of_class) // 2]])


def _versus(matchup: Matchup) -> str:
    return f"{matchup.signal} against {matchup.background}"
