"""Plots of comparisons: they show the numbers they are given, say what their axes are, and refuse nothing to draw."""

import numpy as np
import pytest

from hepnn.calibration import reliability
from hepnn.errors import InputError
from hepnn.evaluation_plots import (
    plot_efficiencies,
    plot_importance,
    plot_mass,
    plot_occlusion,
    plot_reliability,
    plot_roc_ratio,
)
from hepnn.insight import Importance, Occlusion
from hepnn.paired import compare_rejections
from hepnn.plots import save
from hepnn.roc import Measured, roc
from hepnn.sculpting import mass_sculpting
from hepnn.working_points import efficiencies
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, RNG, N

TOP = LABELS == "top"
SHARP, DULL = PROBABILITIES[:, 2], PROBABILITIES[:, 2] + RNG.normal(0, 0.3, N)


def labels_of(figure):
    return {text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel()) if text}


def test_a_ratio_panel_shows_the_ratio_to_the_first(tmp_path):
    ratio = compare_rejections(TOP, DULL, SHARP).ratio
    axes = plot_roc_ratio({"sharp": roc(TOP, SHARP), "dull": roc(TOP, DULL)}, {"dull": ratio})
    _, below = axes.figure.axes
    drawn = below.lines[-1]
    np.testing.assert_allclose(drawn.get_xdata(), ratio.signal_efficiency)
    np.testing.assert_allclose(drawn.get_ydata(), ratio.ratio)
    assert drawn.get_color() == axes.lines[1].get_color()  # as the tagger's curve above
    assert axes.get_yscale() == "log"
    assert "ratio to\nsharp" in labels_of(axes.figure)
    for suffix in ("png", "pdf", "svg"):
        assert save(axes.figure, tmp_path / f"roc.{suffix}").stat().st_size > 1000
    with pytest.raises(InputError, match=r"asked for ratios to \['sharp'\] of \['dull'\]; found those of \[\]"):
        plot_roc_ratio({"sharp": roc(TOP, SHARP), "dull": roc(TOP, DULL)}, {})


def test_efficiencies_stand_in_a_panel_for_each_column_and_class():
    pt = RNG.uniform(500, 1000, N)
    found = efficiencies(SHARP > 0.5, pt, edges=[500, 600, 1000])
    axes = plot_efficiencies({c: {"top": {"a": found}, "qcd": {"a": found}} for c in ("pt", "npv")})
    assert len(axes.figure.axes) == 4
    assert {"jet $p_T$ [GeV]", "npv", "share of top that passes", "share of qcd that passes"} == labels_of(axes.figure)
    np.testing.assert_allclose(axes.containers[0].lines[0].get_ydata(), found.value)
    with pytest.raises(InputError, match="asked to draw efficiencies; found none"):
        plot_efficiencies({})


def test_the_mass_is_shown_before_and_after_each_cut():
    axes = plot_mass(mass_sculpting(RNG.gamma(4, 20, N), {"a": SHARP > 0.5, "b": DULL > 0.5}), background="qcd")
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0] == "all qcd"
    assert [text.split(",")[0] for text in texts[1:]] == ["pass a", "pass b"]
    assert labels_of(axes.figure) == {"jet mass [GeV]", "share of jets [1/GeV]"}


def test_a_reliability_diagram_shows_all_bins():
    found = reliability(LABELS, PROBABILITIES, classes=CLASSES)
    axes = plot_reliability({"a": found})
    np.testing.assert_allclose(axes.containers[0].lines[0].get_ydata(), found.observed)
    low, high = axes.get_ylim()
    assert low <= np.nanmin(found.observed - found.error)
    assert high == 1
    with pytest.raises(InputError, match="found nothing"):
        plot_reliability({})


def test_features_are_listed_from_the_most_important_down():
    found = [Importance("particles", f"f{i}", Measured(1.0 / (i + 1), 0.1)) for i in range(30)]
    axes = plot_importance(found, n_most=5)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "f0 (particles)"
    assert len(names) == 5
    with pytest.raises(InputError, match="found none"):
        plot_importance([])


@pytest.mark.parametrize("n", [0, 30])
def test_particles_are_coloured_by_what_they_do(n):
    change = RNG.normal(0, 0.1, n)
    axes = plot_occlusion(Occlusion("top", 0.8, *RNG.normal(0, 0.2, (2, n)), RNG.random(n), change))
    np.testing.assert_allclose(axes.collections[0].get_array(), change)
    low, high = axes.collections[0].get_clim()
    assert low == -high  # nothing is white
    assert axes.get_title() == "score of top: 0.800"
    assert r"$\Delta\eta$" in labels_of(axes.figure)
