"""Showers for the tasks, and frames whose pixels all cells have their place in."""

import awkward as ak
import numpy as np

from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.tasks.calo_data import CELL, STRIP, frame, labelled_showers


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
