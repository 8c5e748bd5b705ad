"""Shower shapes are what their definitions say, on showers made by hand, and tell particles apart."""

import awkward as ak
import numpy as np
import pytest

from hepnn.generators.calorimeter import BARREL
from hepnn.roc import auc
from hepnn.tasks.calo_data import labelled_showers
from hepnn.tasks.shower_shapes import grown, layer_fractions, layer_images, photon_shapes, scored


def shower_of(*cells):
    """One shower of cells (layer, number in η, number in φ, energy), each at the middle of its cell."""
    layer, eta, phi, energy = np.array(cells, float).T
    sizes = np.array([(BARREL.layers[int(index)].eta_cell, BARREL.layers[int(index)].phi_cell) for index in layer])
    columns = {"energy": energy, "eta": (eta + 0.5) * sizes[:, 0], "phi": (phi + 0.5) * sizes[:, 1], "layer": layer}
    cells = ak.zip({name: ak.Array([values]) for name, values in columns.items()})
    return ak.zip({"eta": [0.0], "phi": [0.0], "energy": [10.0], "cells": cells}, depth_limit=1)


def strips_of(*energies, first=100):
    return [(0, first + number, 5, energy) for number, energy in enumerate(energies) if energy]


def shapes(*cells):
    return {name: float(values[0]) for name, values in photon_shapes(shower_of(*cells)).items()}


def test_one_strip_has_no_width_and_no_second_peak():
    found = shapes(*strips_of(10.0), (1, 12, 20, 30.0))
    for name, expected in {"w_s3": 0, "w_s tot": 0, "F_side": 0, "delta E": 0, "E_ratio": 1, "f1": 0.25}.items():
        assert found[name] == pytest.approx(expected), name


def test_two_peaks_show_in_the_strips():
    found = shapes(*strips_of(1, 10, 1, 0, 6, 2))
    assert found["E_ratio"] == pytest.approx((10 - 6) / (10 + 6))
    assert found["delta E"] == pytest.approx(6 - 0)
    assert found["w_s3"] == pytest.approx(np.sqrt(2 / 12))
    assert found["w_s tot"] == pytest.approx(np.sqrt((1 + 1 + 9 * 6 + 16 * 2) / 20))
    assert found["F_side"] == pytest.approx(6 / 12)  # beyond one strip and up to three away
    shallow = shapes(*strips_of(6, 5, 10))
    assert shallow["delta E"] == pytest.approx(1)


def test_strips_at_all_phi_are_summed():
    split = [(0, 100, 5, 4.0), (0, 100, 6, 3.0), (0, 104, 5, 2.0), (0, 104, 4, 1.0)]
    assert shapes(*split)["E_ratio"] == pytest.approx((7 - 3) / (7 + 3))


def test_ratios_of_the_middle_layer_are_of_windows_about_its_hardest_cell():
    cells = [(1, 12, 20, 10.0), (1, 13, 20, 2.0), (1, 12, 22, 3.0), (1, 15, 20, 5.0), (1, 12, 23, 1.0)]
    found = shapes(*cells)
    assert found["R_eta"] == pytest.approx((10 + 2 + 3 + 1) / 21)  # 3 × 7 in 7 × 7
    assert found["R_phi"] == pytest.approx((10 + 2) / (10 + 2 + 3 + 1))  # 3 × 3 in 3 × 7
    mean = 2 / 15  # of 3 × 5: 13 GeV in the middle, 2 GeV one cell away
    assert found["w_eta2"] == pytest.approx(np.sqrt(2 / 15 - mean**2))


def test_each_pixel_of_a_layer_is_a_cell():
    image = layer_images(shower_of((0, 7, 3, 9.0), (0, 9, 2, 1.0), (1, 1, 0, 50.0)), 0, size=(5, 3))
    expected = np.zeros((1, 5, 3))
    expected[0, 2, 1], expected[0, 4, 0] = 9, 1
    np.testing.assert_allclose(image, expected)


def test_a_shower_without_cells_has_finite_shapes():
    empty = shower_of((0, 1, 1, 1.0))
    empty = ak.with_field(empty, empty.cells[:, :0], "cells")
    columns = {**photon_shapes(empty), **layer_fractions(empty, n_layers=6)}
    assert all(np.isfinite(values).all() for values in columns.values())


def test_the_longitudinal_profile_is_the_share_of_each_layer():
    found = layer_fractions(shower_of((0, 1, 1, 1.0), (1, 1, 1, 5.0), (1, 2, 1, 1.0), (5, 0, 0, 1.0)), n_layers=6)
    assert [float(share[0]) for share in found.values()] == pytest.approx([1 / 8, 6 / 8, 0, 0, 0, 1 / 8])


def test_mirrored_showers_have_the_same_shapes():
    showers = labelled_showers(100, np.random.default_rng(1), classes=("photon", "pizero"))
    turned = ak.with_field(showers.cells, -showers.cells.eta, "eta")
    for name, values in photon_shapes(ak.with_field(showers, turned, "cells")).items():
        # the photon's strips seldom have two of exactly the same energy
        np.testing.assert_allclose(values, photon_shapes(showers)[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_trees_on_the_shapes_tell_photons_from_pions_of_20_gev():
    rng = np.random.default_rng(2)
    train, test = (labelled_showers(n, rng, classes=("photon", "pizero"), energy=(15, 25)) for n in (3_000, 1_500))
    trees = grown(photon_shapes(train), train.label.to_numpy() == "photon", seed=0)
    assert auc(test.label.to_numpy() == "photon", scored(trees, photon_shapes(test))).value > 0.8
