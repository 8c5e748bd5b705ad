"""Varied jets keep the contract, change as they say, and hurt a tagger that lives on what was changed."""

import awkward as ak
import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.insight import occlusion, permutation_importance
from hepnn.jets import check_jets
from hepnn.robustness import VARIATIONS, robustness
from tests.conftest import make_jets

JETS = make_jets(400, seed=5)


@pytest.mark.parametrize("name", VARIATIONS)
def test_nothing_changes_by_nothing(name):
    varied = VARIATIONS[name](JETS, 0.0, np.random.default_rng(1))
    check_jets(varied)
    for field in ("pt", "eta", "phi", "energy"):
        np.testing.assert_allclose(varied[field], JETS[field], rtol=1e-9)
    np.testing.assert_allclose(ak.flatten(varied.particles.pt), ak.flatten(JETS.particles.pt))


def test_a_shift_scales_particles_and_jets():
    varied = VARIATIONS["shift"](JETS, 0.1, np.random.default_rng(1))
    np.testing.assert_allclose(ak.flatten(varied.particles.energy), 1.1 * ak.flatten(JETS.particles.energy))
    has_some = ak.to_numpy(ak.num(JETS.particles) > 0)
    np.testing.assert_allclose(varied.pt / JETS.pt, np.where(has_some, 1.1, 1.0))
    np.testing.assert_allclose(varied.energy / JETS.energy, np.where(has_some, 1.1, 1.0))


def test_smearing_has_the_spread_asked_for_and_keeps_the_order():
    jets = ak.with_field(JETS, ak.with_field(JETS.particles, ak.local_index(JETS.particles), "at"), "particles")
    varied = VARIATIONS["smear"](jets, 0.1, np.random.default_rng(1)).particles
    order = ak.argsort(varied["at"])
    ratio = ak.flatten(varied.pt[order]) / ak.flatten(JETS.particles.pt)
    assert np.std(np.log(ratio)) == pytest.approx(0.1, rel=0.05)
    pt = ak.to_numpy(ak.flatten(varied.pt[:, :-1] - varied.pt[:, 1:]))
    assert (pt >= 0).all()


def test_dropping_leaves_the_share_asked_for_and_the_hardest():
    varied = VARIATIONS["drop"](JETS, 0.2, np.random.default_rng(1))
    soft = ak.num(JETS.particles)[ak.num(JETS.particles) > 0] - 1
    left = ak.num(varied.particles)[ak.num(JETS.particles) > 0] - 1
    assert ak.sum(left) / ak.sum(soft) == pytest.approx(0.8, abs=0.02)
    np.testing.assert_array_equal(ak.firsts(varied.particles.pt)[1:], ak.firsts(JETS.particles.pt)[1:])
    alone = VARIATIONS["drop"](JETS, 1.0, np.random.default_rng(1))
    assert ak.max(ak.num(alone.particles)) == 1
    ratio = ak.to_numpy(ak.firsts(JETS.particles.pt)[1:] / ak.sum(JETS.particles.pt, axis=1)[1:])
    np.testing.assert_allclose((alone.pt / JETS.pt)[1:], ratio)


class Counting:
    """A tagger that counts particles, and nothing else."""

    classes_ = np.array(["gluon", "quark"])

    def predict_proba(self, jets):
        p = 1 / (1 + np.exp((ak.to_numpy(ak.num(jets.particles)) - 10) / 3))
        return np.stack([1 - p, p], axis=1)


def test_a_tagger_that_counts_minds_lost_particles_and_no_energies():
    found = robustness(Counting(), JETS, signal="quark", background="gluon", variations=[("smear", 0.3), ("drop", 0.6)])
    smeared, dropped = found
    assert smeared.difference[:2] == (0.0, 0.0)
    assert dropped.difference.value < -3 * dropped.difference.error
    with pytest.raises(InputError, match="asked for the variation 'blur'; known: smear, drop, shift"):
        robustness(Counting(), JETS, signal="quark", background="gluon", variations=[("blur", 1)])


def test_a_tagger_that_counts_has_no_favourite_particle():
    at = int(np.argmax(ak.num(JETS.particles)))
    found = occlusion(Counting(), JETS[at], signal="quark", background="gluon")
    assert len(found.change) == len(JETS[at].particles)
    np.testing.assert_allclose(found.change, found.change[0])
    assert found.change[0] < 0  # without one, a jet is more like a quark's
    np.testing.assert_allclose(found.pt_fraction, ak.to_numpy(JETS[at].particles.pt) / JETS[at].pt)
    assert occlusion(Counting(), JETS[0], signal="quark").change.size == 0  # a jet without particles
    with pytest.raises(InputError, match=r"found MomentumArray4D. Take one of the array"):
        occlusion(Counting(), JETS, signal="quark")


def test_shuffling_what_a_tagger_does_not_look_at_changes_nothing(trained):
    """The classes differ in width and number of particles: of the features, ΔR or its parts tell them apart."""
    found = permutation_importance(trained, JETS, seed=3)
    names = [each.feature for each in found]
    assert len(names) == len(set(names)) == len(trained.representation_.contents()["particles"].features)
    by_name = {each.feature: each.log_loss for each in found}
    assert by_name["delta_r"].value > 2 * by_name["delta_r"].error
    assert permutation_importance(trained, JETS, seed=3) == found
    assert names.index("delta_r") < len(names) / 2


def test_jets_of_one_score_each_are_shuffled_to_themselves(trained):
    """A single particle has nothing to be exchanged with but itself."""
    one = JETS[ak.num(JETS.particles) == 1][:1]
    assert all(each.log_loss.value == 0 for each in permutation_importance(trained, one))
