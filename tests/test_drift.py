"""Drift: distances agree with scipy's, the same jets do not drift, changed ones do."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from hepnn.clouds import cloud_for
from hepnn.drift import add_counts, count, drifts, seen_in, warnings_of_drift
from hepnn.images import JetImage
from tests.conftest import make_jets


def cloud_of(features, jet_features=()):
    return cloud_for(
        make_jets(20), features=features, jet_features=jet_features, max_particles=128, order_by="pt", descending=True
    )


CLOUD = cloud_of(["kinematics"], ["jet_log_pt"])
FEATURES = {name: part.features for name, part in CLOUD.contents().items()}


def found_in(first, second, representation=CLOUD):
    features = {name: part.features for name, part in representation.contents().items()}
    seen = seen_in(representation.tensors(first), features)
    return {(each.tensor, each.feature): each for each in drifts(seen, count(seen, representation.tensors(second)))}


def test_distances_agree_with_the_two_sample_test():
    first, second = make_jets(1500, seed=1), make_jets(1000, seed=2)
    second["pt"] = second.pt * 1.02 + 3
    found = found_in(first, second)
    names = FEATURES["particles"]
    for i, name in enumerate(names):
        one, other = (CLOUD.tensors(jets).collections["particles"].values[:, i] for jets in (first, second))
        expected = ks_2samp(one, other)
        assert found["particles", name].distance == pytest.approx(expected.statistic, abs=0.02)
        assert found["particles", name].n == len(other)
    one, other = (np.log(jets.pt.to_numpy()) for jets in (first, second))
    assert found["jet", "jet_log_pt"].distance == pytest.approx(ks_2samp(one, other).statistic, abs=0.02)
    assert found["jet", "jet_log_pt"].outside == pytest.approx((other > one.max()).mean(), abs=1e-3)
    assert found["jet", "jet_log_pt"].p_value < 1e-6


def test_jets_of_one_kind_do_not_drift():
    found = found_in(make_jets(3000, seed=1), make_jets(3000, seed=2))
    assert max(each.distance for each in found.values()) < 0.05
    assert warnings_of_drift(tuple(found.values())) == []
    assert found["particles", "number of them"].n == 1000  # of so many jets


def test_momenta_in_other_units_lie_outside():
    jets = make_jets(500, seed=2)
    for name in ("pt", "energy"):
        jets["particles", name] = jets.particles[name] * 1000
        jets[name] = jets[name] * 1000
    outside, apart = warnings_of_drift(tuple(found_in(make_jets(500, seed=1), jets).values()))
    assert "jet_log_pt of jet (100.0%)" in outside
    assert "log_pt of particles" in apart


def test_a_few_jets_beyond_the_range_are_chance():
    """The greatest of 60 jets is exceeded by some of 60 others."""
    for seed in range(6):
        found = found_in(make_jets(60, seed=seed), make_jets(60, seed=seed + 10))
        assert warnings_of_drift(tuple(found.values())) == []


def test_chunks_add_up():
    first, second = make_jets(400, seed=1), make_jets(300, seed=2)
    seen = seen_in(CLOUD.tensors(first), FEATURES)
    whole = count(seen, CLOUD.tensors(second))
    parts = [count(seen, CLOUD.tensors(second[part])) for part in (slice(0, 120), slice(120, None))]
    for name, columns in whole.items():
        for feature, numbers in columns.items():
            np.testing.assert_array_equal(numbers, add_counts(*parts)[name][feature])
    assert drifts(seen, count(seen, CLOUD.tensors(second[:0]))) == ()


def test_repeated_values_are_no_drift():
    """Half of the numbers are equal, as flags are."""
    first, second = make_jets(900, seed=1), make_jets(900, seed=2)
    cloud = cloud_of(["type"])
    found = found_in(first, second, cloud)
    assert max(each.distance for each in found.values()) < 0.06
    second["particles", "pid"] = 22 + 0 * second.particles.pid
    assert max(each.distance for each in found_in(first, second, cloud).values()) > 0.5


def test_images_have_their_pixels_compared():
    image = JetImage(size=9, channels=("pt", "charged_pt"))
    jets = make_jets(300, seed=2)
    assert max(each.distance for each in found_in(make_jets(300, seed=1), jets, image).values()) < 0.1
    jets["particles", "pt"] = jets.particles.pt * 5
    assert found_in(make_jets(300, seed=1), jets, image)["image", "pt"].distance > 0.3
