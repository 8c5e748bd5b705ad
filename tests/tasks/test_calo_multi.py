"""Three answers of one network: the data, the answers by hand, and a quick run."""

import keras
import numpy as np
import pytest

from hepnn.generators.calorimeter import BARREL
from hepnn.tasks import TASKS
from hepnn.tasks.calo_data import CELL
from hepnn.tasks.calo_multi import IMAGE, KINDS, by_hand, draw, draw_labelled, network, said


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-multi"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def showers():
    return draw_labelled(3_000, np.random.default_rng(5))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_what_was_measured_is_what_the_model_does_on_showers_it_has_never_seen(result, showers):
    found = said(result.model, showers.images)
    accuracy = np.mean(found["kind"] == showers.truth.kind)
    assert abs(accuracy - result.metrics[0].value) < 5 * np.sqrt(2) * result.metrics[0].uncertainty
    hand = by_hand(draw_labelled(2_000, np.random.default_rng(6)), showers.images)
    off = [(each - showers.truth.place)[:, 0] for each in (found["place"], hand.place)]
    widths = [np.diff(np.quantile(each, [0.16, 0.84])) for each in off]
    assert abs(widths[0] / widths[1] - result.metrics[2].value) < 5 * np.sqrt(2) * result.metrics[2].uncertainty


def test_showers_come_around_their_hardest_cell_with_what_is_true_of_them(showers):
    assert showers.images.shape == (3_000, *IMAGE.shape)
    assert np.bincount(showers.truth.kind).tolist() == [1_000, 1_000, 1_000]
    assert 10 <= showers.truth.energy.min() <= showers.truth.energy.max() <= 100
    electron = showers.truth.kind == 0
    # the hardest cell of an electron's shower is in the middle layer, hardly more than a cell from where it came in
    assert np.abs(showers.truth.place[electron]).mean() < 1
    middle = showers.images[electron, 18, 5, 1]
    assert (middle == showers.images[electron].max(axis=(1, 2, 3))).mean() > 0.85  # else two strips have more


def test_targets_are_the_truth_as_the_losses_take_it():
    inputs, targets = draw(50, np.random.default_rng(1))
    truth = draw_labelled(58, np.random.default_rng(1)).truth
    np.testing.assert_array_equal(targets["kind"], truth.kind[:50])
    np.testing.assert_array_equal(targets["place"], truth.place[:50])
    sums = (np.expm1(inputs["image"].astype(np.float64)) * 0.1).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(np.exp(targets["energy"][:, 0]) * sums, truth.energy[:50], rtol=1e-3)


def test_networks_have_the_answers_that_were_asked_for(showers):
    assert list(network("kind", "energy", "place").output) == ["kind", "energy", "place"]
    for answer in ("kind", "energy", "place"):
        model = network(answer)
        assert list(model.output) == [answer]
        assert list(said(model, showers.images[:5])) == [answer]


def test_by_hand_the_sum_has_the_right_median_for_each_kind_and_the_place_is_a_centroid(showers):
    found = by_hand(showers, showers.images)
    for kind in range(3):
        right = (found.kind == kind) & (showers.truth.kind == kind)
        assert np.median((found.energy / showers.truth.energy)[right]) == pytest.approx(1, abs=0.02)
    assert np.mean(found.kind == showers.truth.kind) > 0.5
    image = np.zeros((1, *IMAGE.shape), np.float32)
    image[0, 18 + 4, 5 + 2, 1] = 1  # one cell of the middle layer on in η, two in φ
    image[0, 0, 0, 0] = 5  # another layer does not count
    np.testing.assert_allclose(by_hand(showers, image).place, [[1, 2]])


def test_the_table_compares_in_mm_and_leaves_empty_what_is_no_answer(result, showers):
    comparison, by_kind = result.tables
    assert comparison.columns[1:] == ("accuracy", "σ/E", "σ(η) [mm]", "σ(φ) [mm]")
    rows = {row[0]: row[1:] for row in comparison.rows}
    assert [bool(each) for each in rows["kind alone"]] == [True, False, False, False]
    assert all(rows["by hand"])
    assert rows["three answers"][0] == result.measured["accuracy"]
    hand = by_hand(showers, showers.images).place - showers.truth.place
    width = np.diff(np.quantile(hand[:, 0], [0.16, 0.84]))[0] / 2 * CELL[0] * BARREL.radius
    assert rows["by hand"][2].value == pytest.approx(width, rel=0.15)
    assert len(by_kind.rows) == 2 * len(KINDS)


def test_there_are_pictures_and_a_model_to_take_away(result, showers, tmp_path):
    assert set(result.figures) == {"kinds", "energy", "place", "learning"}
    assert all("[mm]" in axes.get_xlabel() for axes in result.figures["place"].axes)
    result.model.save(tmp_path / "multi.keras")
    again, found = (
        said(model, showers.images[:50]) for model in (keras.models.load_model(tmp_path / "multi.keras"), result.model)
    )
    np.testing.assert_array_equal(again["place"], found["place"])
