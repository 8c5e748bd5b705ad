"""Jet images hold the pT of their jets, where it lies, however they are aligned, ordered and held."""

import json

import awkward as ak
import numpy as np
import pytest

from hepnn import pdg, pixels, read_jets, toy_jets
from hepnn.batches import BucketedBatches
from hepnn.bundled import bundled_jets
from hepnn.errors import FeatureError, InputError
from hepnn.images import CHANNELS, JetImage, pixelate
from hepnn.kinematics import delta_phi
from tests.conftest import make_jets

ALIGNED = {
    "as it is": {},
    "Komiske et al.": {"center": "centroid", "normalize": "sum"},
    "Macaluso, Shih": {"center": "centroid", "rotate": "principal_axis", "flip": "upper_right", "normalize": "sum"},
    "de Oliveira et al.": {"center": "subjet", "rotate": "second_subjet", "flip": "right", "normalize": "norm"},
    "hardest": {"center": "hardest", "rotate": "second_subjet"},
}
CHANNELS_OF_ALL_SORTS = ("pt", "charged_pt", "neutral_energy", "photon_count")


@pytest.fixture(scope="module")
def quarks_and_gluons():
    return read_jets(bundled_jets(), schema="hepnn")[:2000]


@pytest.fixture(scope="module")
def hbb():
    return toy_jets(1000, seed=3, classes=["Hbb"])


def relative(jet):
    eta, phi = ak.to_numpy(jet.particles.eta).astype(float), ak.to_numpy(jet.particles.phi).astype(float)
    return eta - float(jet.eta), delta_phi(phi, float(jet.phi))


def two_prongs(*particles, phi=0.0, eta=0.0):
    """One jet of particles (Δη, Δφ, pT)."""
    d_eta, d_phi, pt = np.array(particles, float).T
    lists = {"eta": eta + d_eta, "phi": (phi + d_phi + np.pi) % (2 * np.pi) - np.pi, "pt": pt, "energy": pt}
    records = ak.zip({name: values[np.newaxis] for name, values in lists.items()}, with_name="Momentum4D")
    axis = {"pt": [pt.sum()], "eta": [eta], "phi": [phi], "energy": [pt.sum()]}
    return ak.zip({**axis, "particles": records}, depth_limit=1, with_name="Momentum4D")


def shuffled(jets):
    keys = ak.unflatten(np.random.default_rng(0).random(ak.sum(ak.num(jets.particles))), ak.num(jets.particles))
    return ak.with_field(jets, jets.particles[ak.argsort(keys)], "particles")


@pytest.mark.parametrize(("size", "width"), [(33, 0.8), (8, 0.3), (40, 2.0)])
def test_each_image_is_the_histogram_of_its_jet(jets, size, width):
    images = pixelate(jets, JetImage(size=size, width=width))
    for image, jet in zip(images, jets, strict=True):
        eta, phi = relative(jet)
        limits = [[-width / 2, width / 2]] * 2
        expected, *_ = np.histogram2d(eta, phi, bins=size, range=limits, weights=ak.to_numpy(jet.particles.pt))
        np.testing.assert_allclose(image[..., 0], expected, rtol=1e-6)


def test_sums_conserve_the_pt_inside_the_frame(quarks_and_gluons):
    jets, image = quarks_and_gluons, JetImage()
    d_eta = ak.values_astype(jets.particles.eta, float) - jets.eta
    d_phi = delta_phi(ak.values_astype(jets.particles.phi, float), jets.phi)
    inside = (abs(d_eta) < 0.4) & (abs(d_phi) < 0.4)
    expected = ak.to_numpy(ak.sum(ak.values_astype(jets.particles.pt, float)[inside], axis=1))
    found = pixelate(jets, image).sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    outside = ak.to_numpy(ak.sum(~inside, axis=1))
    np.testing.assert_array_equal(image.tensors(jets).n_outside, outside)
    assert outside.sum() > 0


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_alignment_keeps_pt(jets, options):
    images = pixelate(jets, JetImage(width=6, **{**options, "normalize": None}))
    expected = ak.to_numpy(ak.sum(jets.particles.pt, axis=1))
    np.testing.assert_allclose(images.sum(axis=(1, 2, 3)), expected, rtol=1e-5)


def test_pixels_and_the_frame_hold_their_lower_edges():
    jet = two_prongs((-0.25, 0, 1), (0, -0.25, 2), (0, 0, 4), (0.25, 0, 8), (0, 0.25, 16))
    tensors = JetImage(size=2, width=0.5).tensors(jet)
    np.testing.assert_array_equal(tensors.pad()["image"][0, ..., 0], [[0, 1], [2, 4]])
    assert tensors.n_outside.tolist() == [2]


def test_azimuths_wrap():
    particles = [(0.1, -0.2, 5), (0.0, 0.1, 7), (-0.3, 0.3, 2)]
    expected = pixelate(two_prongs(*particles, phi=0.5))
    for phi in (3.1, -3.1, np.pi):
        np.testing.assert_array_equal(pixelate(two_prongs(*particles, phi=phi)), expected)


def test_eta_and_phi_rise_along_their_axes():
    image = pixelate(two_prongs((0.3, 0.0, 1), (0.0, -0.3, 2)), JetImage(size=3))[0, ..., 0]
    np.testing.assert_array_equal(image, [[0, 0, 0], [2, 0, 0], [0, 1, 0]])


def test_the_hardest_particle_lies_in_the_middle(quarks_and_gluons):
    images = pixelate(quarks_and_gluons, JetImage(center="hardest"))
    hardest = ak.to_numpy(ak.max(quarks_and_gluons.particles.pt, axis=1))
    assert (images[:, 16, 16, 0] >= hardest * (1 - 1e-6)).all()


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_the_order_of_particles_does_not_matter(jets, options):
    image = JetImage(size=16, channels=CHANNELS_OF_ALL_SORTS, **options)
    np.testing.assert_allclose(pixelate(shuffled(jets), image), pixelate(jets, image), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_channels_first_are_the_same_numbers_transposed(jets, options):
    last = JetImage(size=16, channels=CHANNELS_OF_ALL_SORTS, **options)
    first = JetImage(size=16, channels=CHANNELS_OF_ALL_SORTS, data_format="channels_first", **options)
    assert (last.shape, first.shape) == ((16, 16, 4), (4, 16, 16))
    np.testing.assert_array_equal(pixelate(jets, first), np.moveaxis(pixelate(jets, last), -1, 1))


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_empty_jets_and_single_particles_give_finite_images(options):
    image = JetImage(channels=("pt", "charged_energy", "count"), **options)
    dense = pixelate(make_jets(2), image)
    assert np.isfinite(dense).all()
    assert not dense[0].any()
    assert dense[1, ..., 2].sum() == 1
    assert image.tensors(make_jets(1)).pad()["image"].shape == (1, 33, 33, 3)
    assert pixelate(make_jets(3)[:0], image).shape == (0, 33, 33, 3)
    assert len(image.tensors(make_jets(3)[:0])) == 0


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_held_sparsely_or_densely_images_are_the_same(jets, options):
    image = JetImage(channels=CHANNELS_OF_ALL_SORTS, **options)
    tensors = image.tensors(jets)
    np.testing.assert_array_equal(tensors.pad()["image"], pixelate(jets, image))
    assert len(tensors.pixels) < ak.sum(ak.num(jets.particles)) * 4
    assert (tensors.values != 0).all()


def test_the_size_of_blocks_changes_nothing(jets, monkeypatch):
    image = JetImage(channels=CHANNELS_OF_ALL_SORTS, **ALIGNED["de Oliveira et al."])
    before = pixelate(jets, image)
    monkeypatch.setattr(pixels, "_BLOCK_VALUES", 3 * 33 * 33 * 4)
    np.testing.assert_array_equal(pixelate(jets, image), before)
    np.testing.assert_array_equal(image.tensors(jets).pad()["image"], before)


@pytest.mark.parametrize(
    "rows",
    [np.array([7, 0, 300, 7]), slice(3, 9), np.arange(600) % 3 == 0, np.array([], int), np.array([5])],
    ids=["any order", "slice", "mask", "none", "one"],
)
def test_rows_pick_their_jets(jets, rows):
    tensors = JetImage().tensors(jets)
    expected = tensors.pad()["image"][rows]
    np.testing.assert_array_equal(tensors.pad(rows)["image"], expected)
    picked = tensors[rows]
    np.testing.assert_array_equal(picked.pad()["image"], expected)
    np.testing.assert_array_equal(picked.n_outside, tensors.n_outside[rows])
    assert len(picked) == len(picked.lengths) == len(expected)


def test_images_are_float32_and_go_through_training_batches(jets):
    tensors = JetImage(size=8).tensors(jets)
    batches = BucketedBatches(tensors, np.arange(600), None, batch_size=64, n_buckets=20, seed=1)
    seen = list(batches)
    rows = np.concatenate([targets for _, targets in seen])
    assert sorted(rows) == list(range(600))
    images = np.concatenate([inputs["image"] for inputs, _ in seen])
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, tensors.pad(rows)["image"])


def test_moments_are_those_of_the_dense_images(jets):
    tensors, dense = (
        JetImage(size=12, channels=("pt", "count")).tensors(jets),
        pixelate(jets, JetImage(size=12, channels=("pt", "count"))),
    )
    wide = ak.to_numpy(jets.label).astype(str) == "gluon"
    mean, deviation = tensors.moments(wide)
    np.testing.assert_allclose(mean, dense[wide].mean(axis=0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(deviation, dense[wide].std(axis=0, dtype=float), rtol=1e-5, atol=1e-9)
    with pytest.raises(InputError, match="asked for the mean of images; found none"):
        tensors.moments(np.array([], int))


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_sum_up_what_their_name_says(jets, name):
    kind, _, quantity = name.rpartition("_")
    pid = ak.to_numpy(ak.flatten(jets.particles.pid))
    members = {
        "": np.ones(len(pid), bool),
        "charged": pdg.charge(pid) != 0,
        "neutral": pdg.charge(pid) == 0,
        "photon": pid == 22,
        "electron": np.abs(pid) == 11,
        "muon": np.abs(pid) == 13,
        "neutral_hadron": np.isin(pid, [130, 2112, -2112]),
        "charged_hadron": np.isin(np.abs(pid), [211, 321, 2212]),
    }[kind]
    values = np.ones(len(pid)) if quantity == "count" else ak.to_numpy(ak.flatten(jets.particles[quantity]))
    expected = ak.sum(ak.unflatten(values * members, ak.num(jets.particles)), axis=1)
    found = pixelate(jets, JetImage(width=6, channels=(name,)))
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), expected, rtol=1e-5)
    assert JetImage(channels=(name,)).units == ("1" if quantity == "count" else "GeV",)


def test_a_missing_charge_is_neither_charged_nor_neutral(jets):
    unknown = ak.with_field(jets.particles, ak.where(jets.particles.pid == 22, np.nan, 1.0), "charge")
    some = ak.with_field(jets, unknown, "particles")
    images = pixelate(some, JetImage(width=6, channels=("count", "charged_count", "neutral_count", "photon_count")))
    total = images.sum(axis=(0, 1, 2))
    assert total[0] == total[1] + total[3]
    assert total[2] == 0


def test_normalised_to_their_sum_channels_are_shares_of_pt(jets):
    channels = ("pt", "charged_pt", "neutral_pt", "energy", "count")
    raw, normalised = (
        pixelate(jets, JetImage(channels=channels, normalize=how)).sum(axis=(1, 2), dtype=float)
        for how in (None, "sum")
    )
    filled = raw[:, 4] > 0
    assert filled.sum() > 590
    np.testing.assert_allclose(normalised[filled][:, [0, 3]], 1, rtol=1e-5)
    np.testing.assert_allclose(normalised[filled, 1] + normalised[filled, 2], 1, rtol=1e-5)
    np.testing.assert_allclose(normalised[filled, 1], raw[filled, 1] / raw[filled, 0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(normalised[:, 4], raw[:, 4])


def test_normalised_to_their_norm_images_are_unit_vectors(jets):
    image = JetImage(channels=("pt", "charged_pt"), normalize="norm")
    images = pixelate(jets, image)
    norms = np.sqrt((images.astype(float) ** 2).sum(axis=(1, 2)))
    filled = norms[:, 0] > 0
    np.testing.assert_allclose(norms[filled, 0], 1, rtol=1e-5)
    assert (norms[:, 1] <= 1 + 1e-6).all()
    assert image.units == ("1", "1")


def test_the_softer_prong_of_a_decay_comes_to_lie_below(hbb):
    options = {**ALIGNED["de Oliveira et al."], "normalize": "sum", "subjet_radius": 0.2}
    mean, _ = JetImage(size=40, width=1.6, **options).tensors(hbb).moments()
    column = mean[18:22, :, 0].sum(axis=0)
    below, above = column[5:15].sum(), column[25:35].sum()  # 0.2 to 0.6 from the harder prong
    assert below > 0.2
    assert below > 20 * above
    assert mean[20:].sum() > mean[:20].sum()


def test_unaligned_decays_have_no_direction(hbb):
    mean, _ = JetImage(size=40, width=1.6, normalize="sum").tensors(hbb).moments()
    column, row = mean[18:22, :, 0].sum(axis=0), mean[:, 18:22, 0].sum(axis=1)
    assert column[5:15].sum() == pytest.approx(row[5:15].sum(), rel=0.3)


@pytest.mark.parametrize("options", ALIGNED.values(), ids=ALIGNED)
def test_a_description_gives_the_same_representation_again(options):
    image = JetImage(size=20, width=1.2, channels=["pt", "photon_count"], data_format="channels_first", **options)
    assert JetImage.from_dict(json.loads(json.dumps(image.to_dict())), custom={}) == image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "asked for images of 0 pixels"),
        ({"width": 7}, "up to 2π"),
        ({"channels": "pt"}, r"asked for the channels 'pt'; give a list"),
        ({"channels": ()}, "give a list"),
        ({"channels": ("pt", "pt")}, "each once"),
        ({"channels": ("charged",)}, "channels 'charged'; closest: 'charged_pt'"),
        ({"center": "axes"}, "center 'axes'; closest: 'axis'"),
        ({"rotate": "principal"}, "rotate 'principal'; closest: 'principal_axis'"),
        ({"flip": "left"}, "flip 'left'; closest:"),
        ({"normalize": "max"}, "normalize 'max'; closest:"),
        ({"data_format": "first"}, "data_format 'first'; closest:"),
        ({"subjet_radius": 0}, "asked for subjets of radius 0"),
    ],
)
def test_nonsense_settings_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        JetImage(**options)


def test_particles_without_a_finite_momentum_are_refused(jets):
    bad = ak.with_field(jets.particles, ak.where(jets.particles.pt == ak.max(jets.particles.pt), np.nan, 0.1), "eta")
    worst = int(ak.argmax(ak.max(jets.particles.pt, axis=1)))
    with pytest.raises(InputError, match=f"eta is missing, infinite, too large in 1 of 600 jets: {worst}"):
        pixelate(ak.with_field(jets, bad, "particles"))
    with pytest.raises(
        InputError, match="jets with a momentum; phi is missing, infinite, too large in 1 of 600 jets: 5"
    ):
        pixelate(ak.with_field(jets, ak.where(np.arange(600) == 5, np.inf, jets.phi), "phi"))


def test_showers_are_sent_to_their_own_images(jets):
    showers = ak.with_field(jets[["pt", "eta", "phi", "energy"]], jets.particles, "cells")
    with pytest.raises(InputError, match=r"found showers of cells. Use the representation 'calo-image'"):
        pixelate(showers)


def test_what_is_missing_is_named(jets):
    with pytest.raises(InputError, match="asked for the jets' particles"):
        pixelate(jets[["pt", "eta", "phi", "energy"]])
    plain = ak.with_field(jets, jets.particles[["pt", "eta", "phi", "energy"]], "particles")
    with pytest.raises(
        FeatureError, match="asked for images of charged particles: asked for the particle field 'charge'"
    ):
        pixelate(plain, JetImage(channels=("charged_pt",)))
