"""Pictures that tasks share."""

import numpy as np

from hepnn.tasks.pictures import layer_grid


def test_layers_have_one_scale_of_colours_and_one_frame_and_empty_pixels_are_white():
    small, large = np.zeros((3, 5)), np.zeros((7, 5))
    small[2, 1], large[3, 2] = 0.5, 20.0  # the second is brighter
    figure = layer_grid([small, large], ["a", "b"], widths=[(0.3, 0.5), (0.7, 0.5)], quantity="energy [GeV]", columns=2)
    first, second, bar = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["a", "b"]
    assert bar.get_ylabel() == "energy [GeV]"
    assert first.get_xlim() == second.get_xlim() == (-0.35, 0.35)
    (image,), (other,) = first.images, second.images
    assert image.norm is other.norm
    assert (image.norm.vmin, image.norm.vmax) == (0.5, 20.0)
    shown = image.get_array()  # η to the right, φ upwards
    assert shown.shape == (5, 3)
    assert shown.count() == 1
    assert shown[1, 2] == 0.5
    assert image.get_extent() == [-0.15, 0.15, -0.25, 0.25]
