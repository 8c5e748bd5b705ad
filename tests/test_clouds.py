"""Particle clouds: truncation, order, padding, several collections."""

import awkward as ak
import numpy as np
import pytest

from hepnn.clouds import Collection, ParticleCloud
from hepnn.errors import InputError
from hepnn.features import JET_FEATURES, resolve_features
from tests.conftest import make_jets

LOG_PT = resolve_features(["log_pt"])


def cloud(**options):
    return ParticleCloud({"particles": Collection(LOG_PT, **options)})


def sequences(jets, **options):
    tensors = cloud(**options).tensors(jets)
    part = tensors.collections["particles"]
    return np.split(part.values[:, 0], np.cumsum(part.lengths)[:-1]), part


def test_ragged_values_are_the_particles_in_order(jets):
    ours, part = sequences(jets)
    for values, pt in zip(ours, jets.particles.pt, strict=True):
        np.testing.assert_allclose(values, np.log(pt.to_numpy()), rtol=1e-6)
    assert part.n_truncated == 0


def test_padding_is_on_the_right_zero_and_masked(jets):
    tensors = cloud().tensors(jets)
    inputs = tensors.pad(length=64)
    counts = ak.num(jets.particles).to_numpy()
    np.testing.assert_array_equal(inputs["particles_mask"], np.arange(64) < counts[:, None])
    assert (inputs["particles"][~inputs["particles_mask"]] == 0).all()
    np.testing.assert_array_equal(
        inputs["particles"][inputs["particles_mask"]], tensors.collections["particles"].values
    )


def test_padding_rows_in_any_order_picks_those_jets(jets):
    tensors = cloud().tensors(jets)
    rows = np.array([7, 0, 300, 7])
    picked, all_of_them = tensors.pad(rows, length=64), tensors.pad(length=64)
    np.testing.assert_array_equal(picked["particles"], all_of_them["particles"][rows])
    assert tensors.pad(rows)["particles"].shape[1] == ak.max(ak.num(jets.particles[rows]))


def test_indexing_clouds_equals_clouds_of_indexed_jets(jets):
    rows = np.array([5, 0, 1, 17, 5])
    indexed, direct = cloud().tensors(jets)[rows], cloud().tensors(jets[rows])
    np.testing.assert_array_equal(indexed.collections["particles"].values, direct.collections["particles"].values)
    np.testing.assert_array_equal(indexed.lengths, direct.lengths)


def test_truncation_keeps_the_hardest_and_is_counted(jets):
    ours, part = sequences(jets, max_particles=5)
    long = ak.num(jets.particles).to_numpy() > 5
    assert part.n_truncated == long.sum() > 0
    for values, pt in zip(ours, jets.particles.pt, strict=True):
        np.testing.assert_allclose(values, np.log(np.sort(pt.to_numpy())[::-1][:5]), rtol=1e-6)


def test_particles_in_any_order_give_the_same_tensors(jets):
    rng = np.random.default_rng(0)
    keys = ak.unflatten(rng.random(ak.sum(ak.num(jets.particles))), ak.num(jets.particles))
    shuffled = ak.with_field(jets, jets.particles[ak.argsort(keys)], "particles")
    assert ak.any(shuffled.particles.pt != jets.particles.pt, axis=None)
    np.testing.assert_array_equal(sequences(shuffled)[1].values, sequences(jets)[1].values)


def test_rising_order_puts_the_hardest_last(jets):
    falling, _ = sequences(jets, max_particles=5)
    rising, _ = sequences(jets, max_particles=5, descending=False)
    for down, up in zip(falling, rising, strict=True):
        np.testing.assert_array_equal(up, down[::-1])


def test_ordering_by_another_field_still_cuts_the_softest(jets):
    ours, _ = sequences(jets, max_particles=5, order_by="eta", descending=False)
    for values, particles in zip(ours, jets.particles, strict=True):
        hardest = particles[ak.argsort(particles.pt, ascending=False)][:5]
        expected = hardest.pt[ak.argsort(hardest.eta)]
        np.testing.assert_allclose(values, np.log(expected.to_numpy()), rtol=1e-6)


def test_collections_and_jet_features_stand_side_by_side(jets):
    with_tracks = ak.with_field(jets, jets.particles[jets.particles.pid != 22], "tracks")
    both = ParticleCloud(
        {"particles": Collection(LOG_PT), "tracks": Collection(resolve_features(["delta_r", "charge"]))},
        resolve_features(["girth", "n_particles"], JET_FEATURES),
    ).tensors(with_tracks)
    inputs = both.pad(np.arange(4), length=40)
    assert {name: tensor.shape for name, tensor in inputs.items()} == {
        "particles": (4, 40, 1),
        "particles_mask": (4, 40),
        "tracks": (4, 40, 2),
        "tracks_mask": (4, 40),
        "jet": (4, 2),
    }
    np.testing.assert_array_equal(inputs["jet"][:, 1], ak.num(jets.particles[:4]))


def test_only_empty_jets_give_finite_tensors():
    jets = make_jets(1)
    inputs = cloud().tensors(jets).pad()
    assert inputs["particles"].shape == (1, 1, 1)
    assert not inputs["particles_mask"].any()


def test_no_jets_give_empty_tensors(jets):
    assert len(cloud().tensors(jets[:0])) == 0


def test_too_little_room_is_refused_rather_than_cut(jets):
    with pytest.raises(InputError, match=r"asked for 3 slots a jet; found a jet with \d+ particles"):
        cloud().tensors(jets).pad(length=3)


def test_a_collection_the_jets_lack_is_named(jets):
    with pytest.raises(InputError, match="asked for the collection 'vertices'; found only particles"):
        ParticleCloud({"vertices": Collection(LOG_PT)}).tensors(jets)


def test_an_order_by_an_unknown_field_is_refused(jets):
    with pytest.raises(InputError, match="asked to order particles by 'time'; found only pt, eta"):
        cloud(order_by="time").tensors(jets)


def test_nonsense_settings_are_refused():
    with pytest.raises(InputError, match="at most 0 particles"):
        Collection(LOG_PT, max_particles=0)
    with pytest.raises(InputError, match="without features"):
        Collection(())


def test_a_description_gives_the_same_representation_again():
    first = ParticleCloud(
        {"particles": Collection(resolve_features("jetclass"), max_particles=20, descending=False)},
        resolve_features(["girth"], JET_FEATURES),
    )
    assert ParticleCloud.from_dict(first.to_dict(), custom={}) == first
