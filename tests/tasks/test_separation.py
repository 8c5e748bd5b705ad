"""Two kinds of particle against energy: each range is measured on its own particles."""

import numpy as np
import pytest

from hepnn.roc import Measured, auc, background_rejection
from hepnn.tasks.separation import by_energy, energy_figure, energy_table, tagger_table

EDGES = (10, 20, 50)


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(1)
    energy, is_signal = rng.uniform(10, 50, 2_000), rng.random(2_000) < 0.5
    better = np.where(energy < 20, 3.0, 0.5) * is_signal + rng.normal(size=2_000)
    scores = {"good": better, "none": rng.normal(size=2_000)}
    return energy, is_signal, scores, by_energy(scores, is_signal, energy, edges=EDGES, measure=auc)


def test_each_range_is_measured_by_itself(measured):
    energy, is_signal, scores, values = measured
    low = energy < 20
    assert values["good"] == [auc(is_signal[part], scores["good"][part]) for part in (low, ~low)]
    assert values["good"][0].value > 0.95 > 0.7 > values["good"][1].value
    table = energy_table(values, "title", edges=EDGES)
    assert list(table.columns) == ["energy [GeV]", "good", "none"]
    assert table.rows[1] == ("20 to 50", values["good"][1], values["none"][1])


def test_the_figure_has_points_with_errors_and_arrows_for_limits():
    values = {"a": [Measured(10.0, 1.0), Measured(np.inf, np.inf, 30.0)]}
    figure = energy_figure(values, edges=EDGES, ylabel="rejection", marks={"here": 15.0})
    (axes,) = figure.axes
    (points,) = axes.containers
    np.testing.assert_allclose(points[0].get_xydata(), [[np.sqrt(200), 10.0]])
    (arrow,) = (line for line in axes.lines if line.get_marker() == "^")
    np.testing.assert_allclose(arrow.get_xydata(), [[np.sqrt(1000), 30.0]])
    assert [text.get_text().strip() for text in axes.texts] == ["here"]
    assert axes.get_xlabel() == "energy [GeV]"
    figure.canvas.draw()


def test_taggers_are_held_against_the_first(measured):
    _, is_signal, scores, _ = measured
    table = tagger_table(scores, is_signal, fits={}, background="pion", efficiencies=(0.9, 0.95), title="title")
    assert list(table.columns)[3:] == ["pion rejection at 90%", "pion rejection at 95%", "AUC below the good's by"]
    good, none = table.rows
    assert good[:3] == ("good", "–", auc(is_signal, scores["good"]))
    assert good[-1] == "–"
    assert none[3] == background_rejection(is_signal, scores["none"], signal_efficiency=0.9)
    assert none[-1].value == pytest.approx(good[2].value - none[2].value)
