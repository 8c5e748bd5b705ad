"""Pictures of images show the pixels they were given, where they are, with units."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm

from hepnn.calo_images import CaloImage
from hepnn.errors import InputError
from hepnn.image_plots import plot_average_images, plot_image, plot_image_difference, plot_overview
from hepnn.images import JetImage, pixelate
from hepnn.plots import save

IMAGE = np.zeros((4, 3))
IMAGE[3, 0], IMAGE[0, 1], IMAGE[2, 2] = 10, 1, 1e-9


def drawn(axes):
    return axes.images[0]


def bar_label(axes):
    return axes.figure.axes[-1].get_ylabel()


def test_pixels_are_where_their_eta_and_phi_are_and_empty_ones_are_white():
    axes = plot_image(IMAGE, width=(0.8, 0.6), title="one jet")
    mesh = drawn(axes)
    shown = mesh.get_array()
    assert shown.shape == (3, 4)
    assert shown[0, 3] == 10
    assert shown.mask.sum() == 9
    assert mesh.origin == "lower"
    np.testing.assert_allclose(mesh.get_extent(), (-0.4, 0.4, -0.3, 0.3))
    np.testing.assert_array_equal(mesh.cmap(np.ma.masked_all(1))[0], [1, 1, 1, 1])
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
        r"$\Delta\eta$", r"$\Delta\varphi$ [rad]", "one jet",
    )  # fmt: skip
    assert bar_label(axes) == "$p_T$ per pixel [GeV]"


def test_colours_are_logarithmic_and_span_few_decades():
    norm = drawn(plot_image(IMAGE, width=0.8)).norm
    assert isinstance(norm, LogNorm)
    assert norm.vmax == 10
    assert norm.vmin == pytest.approx(1e-5)


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.full((3, 3), 2.0)], ids=["empty", "flat"])
def test_images_without_contrast_can_be_drawn(image, tmp_path):
    assert save(plot_image(image, width=0.8).figure, tmp_path / "image.png").exists()
    assert save(plot_image_difference(image, image, width=0.8).figure, tmp_path / "difference.png").exists()


@pytest.mark.parametrize("n", [1, 2, 6])
def test_averages_stand_side_by_side_on_one_scale(n):
    averages = {f"class {number}": IMAGE * (number + 1) for number in range(n)}
    axes = plot_average_images(averages, width=0.8, quantity="energy")
    panels = [panel for panel in axes.figure.axes if panel.images]
    assert [panel.get_title() for panel in panels] == list(averages)
    for panel, image in zip(panels, averages.values(), strict=True):
        np.testing.assert_array_equal(drawn(panel).get_array().filled(0), np.where(image > 0, image, 0).T)
    for panel in panels:
        assert (drawn(panel).norm.vmin, drawn(panel).norm.vmax) == pytest.approx((1e-5 * n, 10 * n))
    assert bar_label(axes) == "mean energy per pixel [GeV]"
    axes.figure.draw_without_rendering()


def test_shares_have_no_unit():
    assert bar_label(plot_image(IMAGE, width=0.8, unit="1")) == "$p_T$ per pixel"


def test_differences_are_red_where_the_first_has_more():
    axes = plot_image_difference(IMAGE, 2 * IMAGE.T.reshape(4, 3), width=0.8, names=("gluon", "quark"))
    mesh = drawn(axes)
    np.testing.assert_array_equal(mesh.get_array(), (IMAGE - 2 * IMAGE.T.reshape(4, 3)).T)
    assert mesh.norm.vmin == -mesh.norm.vmax
    red, _, blue, _ = mesh.cmap(mesh.norm(mesh.norm.vmax))
    assert red > blue
    assert axes.get_title() == "gluon − quark"
    assert bar_label(axes) == "difference of mean $p_T$ per pixel [GeV]"


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(
        InputError, match=r"asked to draw an image, .*; found the shape \(4, 3, 1\).*images\[0, ..., 0\]"
    ):
        plot_image(IMAGE[..., None], width=0.8)
    with pytest.raises(InputError, match="found none"):
        plot_average_images({}, width=0.8)
    with pytest.raises(InputError, match=r"the shapes \(4, 3\) and \(3, 4\)"):
        plot_image_difference(IMAGE, IMAGE.T, width=0.8)


PIXELS = {"size": 7, "channels": ("pt", "charged_count")}


def shown(axes):
    """The images of a figure, (η, φ), by their titles."""
    panels = (panel for panel in axes.figure.axes if panel.images)
    return {panel.get_title(): panel.images[0].get_array().T for panel in panels}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_an_overview_shows_one_jet_the_averages_and_their_difference(jets, data_format):
    image = JetImage(**PIXELS, data_format=data_format)
    axes = plot_overview(image.tensors(jets), jets.label, representation=image)
    found = shown(axes)
    pt = pixelate(jets, JetImage(size=7))[..., 0]
    is_quark = jets.label.to_numpy() == "quark"
    filled = pt.sum(axis=(1, 2)) > 0
    means = {name: pt[which].mean(axis=0) for name, which in {"quark": is_quark, "gluon": ~is_quark}.items()}
    assert list(found) == [
        "one: gluon",
        "one: quark",
        "average: gluon",
        "average: quark",
        "gluon − quark",
        "quark − gluon",
    ]
    np.testing.assert_allclose(found["one: quark"].filled(0), pt[is_quark & filled][0], rtol=1e-5)
    np.testing.assert_allclose(found["average: gluon"].filled(0), means["gluon"], rtol=1e-5)
    np.testing.assert_allclose(found["gluon − quark"], means["gluon"] - means["quark"], rtol=1e-4, atol=1e-5)
    labels = {panel.get_ylabel() for panel in axes.figure.axes}
    assert {"$p_T$ per pixel [GeV]", "mean $p_T$ per pixel [GeV]", "difference [GeV]"} < labels


def test_an_overview_of_many_classes_compares_each_with_the_others(jets):
    image = JetImage(**PIXELS)
    names = np.array(["a", "b", "c"])[np.arange(len(jets)) % 3]
    axes = plot_overview(image.tensors(jets), names, representation=image, channel="charged_count")
    found = shown(axes)
    counts = pixelate(jets, image)[..., 1]
    expected = counts[names == "b"].mean(axis=0) - counts[names != "b"].mean(axis=0)
    np.testing.assert_allclose(found["b − others"], expected, rtol=1e-4, atol=1e-6)
    assert len(found) == 9
    assert "charged particles per pixel" in {panel.get_ylabel() for panel in axes.figure.axes}


def test_an_overview_without_classes_has_one_column(jets):
    image = JetImage(**PIXELS)
    assert list(shown(plot_overview(image.tensors(jets), representation=image))) == ["one: all", "average: all"]


@pytest.mark.parametrize("layout", ["layers", "volume", "time"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_picture_of_a_shower_is_the_sum_over_its_layers_and_times(layout, data_format):
    image = CaloImage(layout, size=(4, 5), n_layers=2, time_edges=(0.0, 1.0, 2.0, 3.0), data_format=data_format)
    axes = [4, 5, 2] if layout == "layers" else [2, 4, 5, 1] if layout == "volume" else [3, 4, 5, 2]
    content = np.random.default_rng(0).random(axes)
    plane = content.sum(axis={"layers": 2, "volume": (0, 3), "time": (0, 3)}[layout])
    if data_format == "channels_first":
        content = np.moveaxis(content, -1, 1 if layout == "time" else 0)
    assert content.shape == image.shape
    np.testing.assert_allclose(image.plane(content), plane)
    if layout != "volume":
        one = image.plane(content, channel="energy of layer 1")
        other = image.plane(content, channel="energy of layer 0")
        np.testing.assert_allclose(one + other, plane)
        assert not np.allclose(one, other)


def test_an_overview_of_nothing_is_refused(jets):
    image = JetImage(**PIXELS)
    with pytest.raises(InputError, match="asked to draw images; found none"):
        plot_overview(image.tensors(jets[:0]), representation=image)
    with pytest.raises(InputError, match="the channel 'energy' of images; closest: 'charged_count', 'pt'"):
        plot_overview(image.tensors(jets), representation=image, channel="energy")
