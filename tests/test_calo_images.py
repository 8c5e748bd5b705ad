"""Calorimeter images hold the energy of the cells inside the frame, in every layout."""

import json

import awkward as ak
import numpy as np
import pytest

from hepnn.calo_images import CALO_CENTERS, CaloImage, pixelate_cells
from hepnn.errors import InputError
from hepnn.kinematics import delta_phi

EDGES = (-1.0, 0.0, 0.5, 2.0, 10.0)
SMALL = {"size": (9, 7), "width": (0.36, 0.4), "n_layers": 3, "time_edges": EDGES, "center": "axis"}
LAYOUTS = ("layers", "volume", "time")


def make_showers(n, *, seed=0):
    """Cells about an axis, in four layers and at all times, some with the negative energy of noise; the first is empty."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(30, n)
    counts[:1] = 0
    total = counts.sum()
    axis = {"eta": rng.uniform(-1, 1, n), "phi": rng.uniform(-np.pi, np.pi, n)}
    phi = np.repeat(axis["phi"], counts) + rng.normal(0, 0.1, total)
    cells = {
        "energy": rng.exponential(2, total) - 0.1,
        "eta": np.repeat(axis["eta"], counts) + rng.normal(0, 0.1, total),
        "phi": (phi + np.pi) % (2 * np.pi) - np.pi,
        "layer": rng.integers(0, 4, total),
        "time": rng.exponential(1.5, total) - 0.5,
    }
    lists = {name: ak.unflatten(values, counts) for name, values in cells.items()}
    energy = ak.to_numpy(ak.sum(lists["energy"], axis=1))
    return ak.zip({**axis, "energy": energy, "cells": ak.zip(lists)}, depth_limit=1)


SHOWERS = make_showers(200)


def flat(shower):
    cells = shower.cells
    columns = {name: ak.to_numpy(cells[name]) for name in cells.fields}
    columns["eta"] = columns["eta"] - shower.eta
    columns["phi"] = delta_phi(columns["phi"], shower.phi)
    return columns


def test_each_image_is_the_histogram_of_its_shower_in_space_layer_and_time():
    images = pixelate_cells(SHOWERS, CaloImage("time", **SMALL))
    assert images.shape == (200, 4, 9, 7, 3)
    bins = (np.array(EDGES), np.linspace(-0.18, 0.18, 10), np.linspace(-0.2, 0.2, 8), np.arange(4) - 0.5)
    for image, shower in zip(images, SHOWERS, strict=True):
        cells = flat(shower)
        points = np.stack([cells[name] for name in ("time", "eta", "phi", "layer")], axis=1)
        expected, _ = np.histogramdd(points, bins=bins, weights=cells["energy"])
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-6)


def test_slices_of_time_add_up_to_the_layers_when_they_cover_all_times():
    options = {**SMALL, "time_edges": (-1, 0, 0.5, 2, 1000)}
    film, layers = (pixelate_cells(SHOWERS, CaloImage(layout, **options)) for layout in ("time", "layers"))
    np.testing.assert_allclose(film.sum(axis=1), layers, rtol=1e-5, atol=1e-5)
    assert (film.sum(axis=(0, 2, 3, 4)) > 0).all()


def test_a_volume_is_the_layers_one_behind_the_other():
    volume, layers = (pixelate_cells(SHOWERS, CaloImage(layout, **SMALL)) for layout in ("volume", "layers"))
    assert (volume.shape, layers.shape) == ((200, 3, 9, 7, 1), (200, 9, 7, 3))
    np.testing.assert_array_equal(np.moveaxis(volume[..., 0], 1, -1), layers)


@pytest.mark.parametrize(("layout", "axis"), [("layers", 1), ("volume", 1), ("time", 2)])
def test_channels_first_are_the_same_numbers_transposed(layout, axis):
    last = CaloImage(layout, **SMALL)
    first = CaloImage(layout, data_format="channels_first", **SMALL)
    expected = np.moveaxis(pixelate_cells(SHOWERS, last), -1, axis)
    found = pixelate_cells(SHOWERS, first)
    assert found.shape == (200, *first.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_conserve_the_energy_inside_the_frame_and_the_rest_is_counted(layout):
    image = CaloImage(layout, **SMALL)
    tensors = image.tensors(SHOWERS)
    for found, n_outside, shower in zip(tensors.pad()["image"], tensors.n_outside, SHOWERS, strict=True):
        cells = flat(shower)
        inside = (abs(cells["eta"]) < 0.18) & (abs(cells["phi"]) < 0.2) & (cells["layer"] < 3)
        if layout == "time":
            inside &= (cells["time"] >= -1) & (cells["time"] < 10)
        assert found.sum(dtype=float) == pytest.approx(cells["energy"][inside].sum(), rel=1e-5)
        assert n_outside == (~inside).sum()
    assert tensors.n_outside.sum() > 0


@pytest.mark.parametrize("center", CALO_CENTERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_cells_does_not_matter_and_empty_showers_are_zero(layout, center):
    keys = ak.unflatten(np.random.default_rng(0).random(ak.sum(ak.num(SHOWERS.cells))), ak.num(SHOWERS.cells))
    other = ak.with_field(SHOWERS, SHOWERS.cells[ak.argsort(keys)], "cells")
    image = CaloImage(layout, **{**SMALL, "center": center})
    images = pixelate_cells(SHOWERS, image)
    np.testing.assert_allclose(pixelate_cells(other, image), images, rtol=1e-5, atol=1e-6)
    assert np.isfinite(images).all()
    assert not images[0].any()
    assert pixelate_cells(SHOWERS[:0], image).shape == (0, *image.shape)
    np.testing.assert_array_equal(image.tensors(SHOWERS).pad()["image"], images)


def test_the_cell_of_most_energy_lies_in_the_middle():
    images = pixelate_cells(SHOWERS, CaloImage(**{**SMALL, "center": "hardest", "n_layers": 4}))
    hardest = ak.to_numpy(ak.fill_none(ak.max(SHOWERS.cells.energy, axis=1), 0))
    assert (images[:, 4, 3].max(axis=1) >= hardest - 0.2).all()  # noise in the same pixel is above −0.1 GeV each


def test_the_centroid_lies_in_the_middle():
    image = CaloImage(size=(401, 401), width=(4.01, 4.01), n_layers=4, center="centroid")
    positive = SHOWERS[1:20]
    positive = ak.with_field(positive, ak.with_field(positive.cells, abs(positive.cells.energy), "energy"), "cells")
    sums = pixelate_cells(positive, image).sum(axis=-1)
    places = (np.arange(401) - 200) * 0.01
    for axis in (1, 2):
        centroid = (sums.sum(axis=axis) * places).sum(axis=1) / sums.sum(axis=(1, 2))
        assert np.abs(centroid).max() < 0.005


def one_shower(**cells):
    """A shower at η = φ = 0, its cells' fields given as lists."""
    fields = {"energy": [1.0], "eta": [0.0], "phi": [0.0], "layer": [0], "time": [0.2], **cells}
    n = max(map(len, fields.values()))
    lists = {name: np.array([values * n if len(values) == 1 else values]) for name, values in fields.items()}
    return ak.zip({"eta": [0.0], "phi": [0.0], "cells": ak.zip(lists)}, depth_limit=1)


def test_slices_of_time_hold_their_beginnings():
    tensors = CaloImage("time", **SMALL).tensors(
        one_shower(energy=[1.0, 2, 4, 8, 16], time=[-1.0, 0.0, 0.49, 0.5, 10.0])
    )
    assert tensors.pad()["image"][0].sum(axis=(1, 2, 3)).tolist() == [1, 6, 8, 0]
    assert tensors.n_outside.tolist() == [1]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cells_before_the_first_layer_or_slice_lie_outside(layout, data_format):
    shower = one_shower(energy=[1.0, 2, 4], layer=[0, -1, 0], time=[0.2, 0.2, -3.0])
    tensors = CaloImage(layout, **SMALL, data_format=data_format).tensors(shower)
    n_outside = 2 if layout == "time" else 1
    assert tensors.pad()["image"].sum() == (1 if layout == "time" else 5)
    assert tensors.n_outside.tolist() == [n_outside]


def test_noise_does_not_move_the_centroid():
    shower = one_shower(energy=[10.0, -1.0], eta=[0.0, 0.08])
    image = pixelate_cells(shower, CaloImage(**{**SMALL, "center": "centroid"}))[0, :, 3, 0]
    np.testing.assert_array_equal(image, [0, 0, 0, 0, 10, 0, -1, 0, 0])


def test_azimuths_wrap():
    turned = ak.with_field(SHOWERS, SHOWERS.phi + 1.5, "phi")
    phi = (SHOWERS.cells.phi + 1.5 + np.pi) % (2 * np.pi) - np.pi
    turned = ak.with_field(turned, ak.with_field(SHOWERS.cells, phi, "phi"), "cells")
    image = CaloImage(**SMALL)
    np.testing.assert_allclose(pixelate_cells(turned, image), pixelate_cells(SHOWERS, image), rtol=1e-6, atol=1e-6)


def test_default_pixels_hold_one_cell_of_the_middle_layer_each():
    eta, phi = (part.ravel() for part in np.meshgrid(np.arange(-10, 11) * 0.025, np.arange(-10, 11) * 2 * np.pi / 256))
    cells = {"eta": 0.4 + eta, "phi": phi, "energy": np.where((eta == 0) & (phi == 0), 2.0, 1.0)}
    cells |= {"layer": np.ones(441, int), "time": np.zeros(441)}
    shower = ak.zip(
        {"eta": [0.407], "phi": [0.011], "cells": ak.zip({n: v[np.newaxis] for n, v in cells.items()})}, depth_limit=1
    )
    image = pixelate_cells(shower)[0, ..., 1]
    assert image[10, 10] == 2
    assert (np.delete(image.ravel(), 220) == 1).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_normalised_energies_are_shares(layout):
    image = CaloImage(layout, **SMALL, normalize="sum")
    sums = pixelate_cells(SHOWERS[1:], image).reshape(199, -1).sum(axis=1)
    np.testing.assert_allclose(sums, 1, rtol=1e-4)
    norm = pixelate_cells(SHOWERS[1:], CaloImage(layout, **SMALL, normalize="norm")).reshape(199, -1)
    np.testing.assert_allclose((norm**2).sum(axis=1), 1, rtol=1e-5)


def test_cells_without_a_time_are_fine_until_time_is_asked_for():
    cells = SHOWERS.cells
    untimed = ak.with_field(SHOWERS, cells[["energy", "eta", "phi", "layer"]], "cells")
    np.testing.assert_array_equal(
        pixelate_cells(untimed, CaloImage(**SMALL)), pixelate_cells(SHOWERS, CaloImage(**SMALL))
    )
    with pytest.raises(InputError, match="asked for the cell field 'time'; found only energy, eta, phi, layer"):
        pixelate_cells(untimed, CaloImage("time"))
    missing = ak.with_field(SHOWERS, ak.with_field(cells, ak.mask(cells.time, cells.layer != 2), "time"), "cells")
    pixelate_cells(missing, CaloImage("volume"))
    with pytest.raises(InputError, match="the cell field 'time' is missing or infinite"):
        pixelate_cells(missing, CaloImage("time"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_description_gives_the_same_representation_again(layout):
    image = CaloImage(layout, **SMALL, normalize="sum", data_format="channels_first")
    assert CaloImage.from_dict(json.loads(json.dumps(image.to_dict())), custom={}) == image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "film"}, "layout 'film'; closest"),
        ({"size": (0, 3)}, r"images of \(0, 3\) pixels"),
        ({"size": (3,)}, r"images of \(3,\) pixels"),
        ({"width": (1.0, -1.0)}, "a number above 0 for η and φ each"),
        ({"width": (1.0, 7.0)}, "a frame of 7.0 in φ"),
        ({"n_layers": 0}, "0 layers"),
        ({"time_edges": (0.0, 1.0, 1.0)}, "rising and finite, in ns"),
        ({"time_edges": (0.0, float("inf"))}, "rising and finite, in ns"),
        ({"time_edges": (0.0,)}, "two or more"),
        ({"center": "subjet"}, "center 'subjet'; closest"),
        ({"normalize": "max"}, "normalize 'max'; closest"),
        ({"data_format": "NCHW"}, "data_format 'NCHW'; closest"),
    ],
)
def test_nonsense_settings_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        CaloImage(**options)


def test_what_is_no_shower_is_refused():
    with pytest.raises(InputError, match=r"asked for showers, .*; found the fields eta, phi"):
        pixelate_cells(SHOWERS[["eta", "phi"]])
    with pytest.raises(InputError, match="found list"):
        pixelate_cells([1, 2])
    with pytest.raises(InputError, match="each with its cells; some are missing"):
        pixelate_cells(ak.with_field(SHOWERS, ak.mask(SHOWERS.cells, SHOWERS.eta > 0), "cells"))
