"""Working points: what is fixed is reached, files give back what was written, efficiencies agree with hand counts."""

import itertools
import json

import numpy as np
import pytest

from hepnn.errors import InputError, OutputError
from hepnn.working_points import (
    efficiencies,
    find_working_point,
    passes,
    quantile_edges,
    read_working_point,
    threshold_at,
    write_working_point,
)
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, RNG, WEIGHTS, N

PT = RNG.uniform(500, 1000, N) + 100 * PROBABILITIES[:, 2]
EDGES = [500, 600, 800, 1100]
TOP, QCD = LABELS == "top", LABELS == "qcd"


def find(**more):
    arguments = {"classes": CLASSES, "signal": "top", "background": "qcd", **more}
    return find_working_point(LABELS, PROBABILITIES, **arguments)


def passing(point, values=None):
    return passes(point, PROBABILITIES, classes=CLASSES, values=values)


def test_efficiency_or_mistag_are_what_was_asked_for():
    share = passing(find(efficiency=0.6))[TOP].mean()
    assert 0.6 <= share < 0.6 + 2 / TOP.sum()
    share = passing(find(mistag=0.05))[QCD].mean()
    assert 0.05 - 2 / QCD.sum() < share <= 0.05


@pytest.mark.parametrize("kind", ["efficiency", "mistag"])
def test_in_bins_it_holds_in_each(kind):
    point = find(**{kind: 0.3}, column="pt", values=PT, edges=EDGES, weights=WEIGHTS)
    passed, side = passing(point, PT), TOP if kind == "efficiency" else QCD
    for low, high in itertools.pairwise(EDGES):
        inside = side & (low <= PT) & (high > PT)
        share = np.average(passed[inside], weights=WEIGHTS[inside])
        assert share == pytest.approx(0.3, abs=2 * WEIGHTS.max() / WEIGHTS[inside].sum())


def test_a_mistag_is_not_exceeded_by_jets_of_one_score():
    labels, p = np.array(["a"] * 4 + ["b"] * 10), np.linspace(0.5, 0.9, 14)
    p[4:] = 0.5
    probabilities = np.stack([p, 1 - p], axis=1)
    point = find_working_point(labels, probabilities, classes=("a", "b"), signal="a", background="b", mistag=0.3)
    assert not passes(point, probabilities, classes=("a", "b"))[4:].any()


def test_with_fractions_the_cut_is_on_the_log_ratio():
    point = find(background=None, fractions={"w": 0.2, "qcd": 0.8}, mistag=0.1)
    assert passing(point)[~TOP].mean() == pytest.approx(0.1, abs=2e-3)
    assert point.thresholds[0] > 0


def test_what_is_read_is_what_was_written(tmp_path):
    for point in (find(efficiency=0.5), find(mistag=0.01, column="pt", values=PT, edges=EDGES, name="tight")):
        path = write_working_point(point, tmp_path / f"{point.name}.json")
        assert read_working_point(path) == point
    assert find(efficiency=0.5).name == "top_efficiency_50"
    with pytest.raises(OutputError, match="which exists already"):
        write_working_point(point, path)


def test_nan_does_not_pass_and_jets_beyond_the_bins_count_in_the_outermost():
    point = find(efficiency=0.5, column="pt", values=PT, edges=EDGES)
    outside = passing(point, np.where(np.arange(N) % 2, -1.0, 1e9))
    inside = passing(point, np.where(np.arange(N) % 2, 550.0, 1000.0))
    assert (outside == inside).all()
    assert not passes(find(efficiency=0.5), PROBABILITIES * np.nan, classes=CLASSES).any()


def test_efficiencies_are_weighted_shares_with_their_errors():
    passed = PROBABILITIES[:, 2] > 0.4
    found = efficiencies(passed, PT, edges=EDGES, weights=WEIGHTS)
    for i, (low, high) in enumerate(itertools.pairwise(EDGES)):
        inside = (low <= PT) & (high > PT)
        w, x = WEIGHTS[inside], passed[inside]
        share = np.average(x, weights=w)
        assert found.value[i] == pytest.approx(share)
        assert found.error[i] == pytest.approx(np.sqrt((w**2 * (x - share) ** 2).sum()) / w.sum())
        assert found.n_jets[i] == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_the_error_of_an_efficiency_covers_the_true_value():
    rng, inside = np.random.default_rng(3), []
    for _ in range(600):
        found = efficiencies(rng.random(200) < 0.3, np.zeros(200), edges=[-1, 1], weights=rng.exponential(1, 200))
        inside.append(abs(found.value[0] - 0.3) < found.error[0])
    assert 0.63 < np.mean(inside) < 0.73


def test_an_empty_bin_is_nan_and_a_full_one_has_an_error():
    found = efficiencies(np.ones(4, bool), np.array([1.0, 1, 1, 9]), edges=[0, 2, 4])
    np.testing.assert_allclose(found.value, [1, np.nan])
    assert found.error[0] == pytest.approx(1 / 6)
    json.dumps(found.to_dict(), allow_nan=False)


def test_quantile_edges_hold_equal_numbers_and_bear_repeated_values():
    counts, _ = np.histogram(PT, quantile_edges(PT, n_bins=5))
    assert counts.min() > 0.19 * N
    assert (np.diff(quantile_edges(np.array([3.0, 3, 3, 3, 4]), n_bins=4)) > 0).all()
    assert quantile_edges(np.full(5, 7.0), n_bins=3).tolist() == [6.5, 7.5]


def test_a_threshold_is_the_tightest_that_will_do():
    scores = np.array([0.1, 0.5, 0.5, 0.9])
    assert threshold_at(scores, 0.25) == 0.9
    assert threshold_at(scores, 0.3) == 0.5
    assert threshold_at(scores, 0.0) == np.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either an efficiency or a mistag rate"),
        ({"efficiency": 0.5, "mistag": 0.1}, "give either"),
        ({"efficiency": 1.5}, "efficiency 1.5; choose one between 0 and 1"),
        ({"efficiency": 0.5, "column": "pt"}, "in bins of 'pt'; give its value for each of 3000 jets"),
        (
            {"efficiency": 0.5, "column": "pt", "values": PT, "edges": [0, 100, 2000]},
            "there are no signal jets with pt from 0 to 100",
        ),
        ({"efficiency": 0.5, "signal": "tpo"}, "class 'tpo'; .* Closest: 'top'"),
    ],
)
def test_what_cannot_be_found_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        find(**arguments)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "hepnn working point 1", "name": "x"}'])
def test_another_file_is_no_working_point(content, tmp_path):
    path = tmp_path / "wp.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"asked for the working point in .*wp.json; it cannot be read \("):
        read_working_point(path)


def test_a_binned_point_needs_its_column():
    point = find(efficiency=0.5, column="pt", values=PT, edges=EDGES)
    with pytest.raises(InputError, match="has bins of 'pt'; give its value for each of 3000 jets"):
        passing(point)
