"""Showers for the tasks: as records, moved by whole groups of cells, and as images in one frame."""

import awkward as ak
import numpy as np
import pytest

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.generators.calorimeter import BARREL
from hepnn.tasks.calo_data import (
    CELL,
    STRIP,
    TILE,
    draw_places,
    draw_showers,
    frame,
    framed,
    labelled_showers,
    log_images,
    seen,
    shower_images,
)

SIZES = np.array([(layer.eta_cell, layer.phi_cell) for layer in BARREL.layers])


@pytest.fixture(scope="module")
def showers():
    return draw_showers(400, np.random.default_rng(0), classes=["pion", "electron"], energy=(20, 40))


def test_showers_are_of_the_kinds_and_energies_that_were_asked_for(showers):
    assert np.bincount(showers.kind).tolist() == [200, 200]
    assert 20 <= ak.min(showers.energy) <= ak.max(showers.energy) <= 40
    behind = ak.to_numpy(ak.sum(showers.cells.energy[showers.cells.layer > 2], axis=1)) / ak.to_numpy(showers.energy)
    assert behind[showers.kind == 0].mean() > 0.3 > 0.05 > behind[showers.kind == 1].mean()


def test_the_same_generator_gives_the_same_showers_and_its_next_ones_are_others():
    first, again = (draw_showers(5, np.random.default_rng(1), classes=["pion"]) for _ in range(2))
    assert ak.array_equal(first, again)
    rng = np.random.default_rng(1)
    draw_showers(5, rng, classes=["pion"])
    assert not np.array_equal(first.energy, draw_showers(5, rng, classes=["pion"]).energy)


def test_places_of_a_scene_differ_and_are_even():
    counts = np.random.default_rng(2).integers(1, 5, 2_000)
    places = draw_places(counts, np.random.default_rng(3), tiles=(2, 3))
    tile = places[:, 0] * 3 + places[:, 1]
    scene = np.repeat(np.arange(len(counts)), counts)
    assert len(np.unique(scene * 6 + tile)) == len(tile) == counts.sum()
    shares = np.bincount(tile, minlength=6) / len(tile)
    np.testing.assert_allclose(shares, 1 / 6, atol=0.02)


def test_framed_showers_lie_in_their_tile_with_the_cells_they_had(showers):
    places = draw_places(np.full(200, 2), np.random.default_rng(4), tiles=(4, 4))
    moved = framed(showers, places)
    for axis, name in enumerate(("eta", "phi")):
        size = TILE[axis] * CELL[axis]
        np.testing.assert_array_equal(np.floor(ak.to_numpy(moved[name]) / size), places[:, axis])
        within = np.bincount((ak.to_numpy(moved[name]) / size % 1 * 4).astype(int))
        assert within.min() > 60  # of 400 in four quarters
        away, before = (ak.to_numpy(ak.flatten(each.cells[name] - each[name])) for each in (moved, showers))
        turns = (away - before) / (2 * np.pi)
        np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)
        assert np.abs(away).max() < 1
        # cells still end at multiples of their size
        layer = ak.to_numpy(ak.flatten(moved.cells.layer))
        steps = ak.to_numpy(ak.flatten(moved.cells[name])) / SIZES[layer, axis] - 0.5
        np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)


def test_images_hold_the_energy_of_the_cells_evenly_over_their_pixels(showers):
    moved = framed(showers, np.zeros((400, 2), np.int64))
    images = shower_images(moved, tiles=(1, 1), margin=32, n_layers=6)
    assert images.shape == (400, 72, 72, 6)
    inside = ak.sum(moved.cells.energy, axis=1)
    np.testing.assert_allclose(images.sum(axis=(1, 2, 3)), inside, rtol=1e-4)
    # the third hadronic layer has cells of 8 × 4 pixels: all pixels of one are equal
    blocks = images[..., 5].reshape(400, 9, 8, 18, 4)
    assert blocks.any()
    np.testing.assert_allclose(np.ptp(blocks, axis=(2, 4)), 0, atol=1e-5)
    # a cell of the middle layer is a pixel
    brightest = images[..., 1].reshape(400, -1).max(axis=1)
    middle = moved.cells[moved.cells.layer == 1].energy
    np.testing.assert_allclose(brightest, ak.fill_none(ak.max(middle, axis=1), 0), rtol=1e-4)


def test_networks_see_logarithms_of_order_one():
    np.testing.assert_allclose(
        seen(np.array([0.0, 0.01, 0.1, 100.0])), [0, np.log(1.1), np.log(2), np.log(1001)], rtol=1e-6
    )
    spec = log_images((4, 4, 2))["image"]
    values = np.array([[0.0, 7.0], [1e-3, 12.0]], np.float32)
    np.testing.assert_array_equal(spec.scaling(values), values)


def showers_of(seed, n=200):
    return labelled_showers(n, np.random.default_rng(seed), classes=("photon", "pizero"), energy=(20, 40))


def test_showers_are_those_of_a_reader_in_equal_parts_and_new_at_each_call():
    rng = np.random.default_rng(1)
    first, second = (labelled_showers(200, rng, classes=("photon", "pizero"), energy=(20, 40)) for _ in range(2))
    assert first.label.tolist().count("photon") == 100
    assert ak.all((first.energy >= 20) & (first.energy <= 40))
    assert not np.allclose(first.energy.to_numpy(), second.energy.to_numpy())
    np.testing.assert_array_equal(first.energy.to_numpy(), showers_of(1).energy.to_numpy())


def test_cells_of_all_layers_fall_on_mirrored_pixels_of_a_mirrored_shower():
    """Middles of strips lie on edges in φ; were they not moved off, rounding would decide."""
    showers = showers_of(2)
    turned = ak.with_field(showers.cells, -showers.cells.phi, "phi")
    mirrored = ak.with_field(ak.with_field(showers, -showers.phi, "phi"), turned, "cells")
    image = CaloImage("layers", n_layers=3, **frame((40, 11), pixel=(STRIP, CELL[1])))
    images, others = (pixelate_cells(some, image) for some in (showers, mirrored))
    np.testing.assert_allclose(others, images[:, :, ::-1], rtol=1e-5, atol=1e-6)
    assert (images.sum(axis=(0, 1, 2)) > 0).all()


def test_a_pixel_as_wide_as_a_strip_holds_one_strip():
    showers = showers_of(3)
    image = CaloImage("layers", n_layers=1, **frame((40, 1), pixel=(STRIP, 1.0)))
    found = np.count_nonzero(pixelate_cells(showers, image)[..., 0, 0], axis=1)
    strips = showers.cells[showers.cells.layer == 0]
    # about the hardest cell of all layers, from 20 strips before its middle to 20 behind
    middle = showers.cells.eta[:, 0]
    inside = strips[np.abs(strips.eta - middle) < 20 * STRIP * (1 - 1e-4)]
    numbers = np.round(inside.eta / STRIP - 0.5)
    expected = [len(set(each)) for each in numbers.tolist()]
    assert found.tolist() == expected
