"""Shapes are where their boxes say, as many as asked for, and no more on top of each other than allowed."""

import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.generators.shapes import KINDS, draw_one_each, draw_shapes

CLEAN = {"noise": 0.0, "brightness": (1.0, 1.0)}


def rng(seed=0):
    return np.random.default_rng(seed)


def only(kind, n_images, **settings):
    return draw_shapes(np.ones((n_images, 1), int), kinds=(kind,), **{**CLEAN, "rng": rng(), **settings})


def extent(mask):
    """Left, top, right and bottom of the pixels (y, x) that are set; pixel i reaches from i to i + 1."""
    (y,), (x,) = np.nonzero(mask.any(axis=1)), np.nonzero(mask.any(axis=0))
    return np.array([x[0], y[0], x[-1] + 1, y[-1] + 1])


def pairs_of(scenes):
    """Boxes of any two objects on the same image: two arrays (pair, 4)."""
    n_slots = scenes.present.shape[1]
    first, second = np.triu_indices(n_slots, 1)
    both = scenes.present[:, first] & scenes.present[:, second]
    return scenes.boxes[:, first][both], scenes.boxes[:, second][both]


def shared_areas(scenes):
    """Of any two objects on the same image, the area their boxes share, as a share of the smaller box."""
    areas = []
    for a, b in zip(*pairs_of(scenes), strict=True):
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        areas.append(width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])))
    return np.array(areas)


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_the_smallest_around_the_pixels(kind):
    scenes = only(kind, 200, size=128, radius=(20.0, 60.0))
    for image, box in zip(scenes.images[..., 0], scenes.boxes[:, 0], strict=True):
        # a pixel is brighter than a half if its centre is on the object, and not dark if its centre is 0.5 away at most
        inner, outer = extent(image > 0.5), extent(image > 0)
        assert (inner[:2] + 0.5 >= box[:2] - 0.01).all()
        assert (inner[2:] - 0.5 <= box[2:] + 0.01).all()
        assert (outer[:2] <= box[:2] + 0.5).all()
        assert (outer[2:] >= box[2:] - 0.5).all()
        assert np.abs(inner - box).max() < 2  # even the tip of a triangle is two pixels wide there


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        ("circle", lambda width, height: np.pi / 4 * width * height),
        ("rectangle", lambda width, height: width * height),
        ("triangle", lambda width, height: width * height / 2),
        ("ring", lambda width, height: np.pi / 4 * width * height * (1 - 0.65**2)),
        ("cross", lambda width, height: width * height * (1 - 4 * (0.5 - 0.16) ** 2)),
    ],
)
def test_shapes_have_the_area_of_their_kind(kind, area):
    scenes = only(kind, 50, size=128, radius=(30.0, 60.0), angle=(0.0, 0.0))
    width, height = (scenes.boxes[:, 0, 2:] - scenes.boxes[:, 0, :2]).T
    np.testing.assert_allclose(scenes.images.sum(axis=(1, 2, 3)), area(width, height), rtol=0.01)


def test_shapes_turn():
    """A slender rectangle covers the least of its box when it lies along the diagonal."""
    filled = {}
    for angle in (0.0, np.pi / 4, np.pi / 2):
        scenes = only("rectangle", 100, size=64, radius=(20.0, 30.0), angle=(angle, angle))
        filled[angle] = scenes.images.sum(axis=(1, 2, 3)) / (scenes.boxes[:, 0, 2:] - scenes.boxes[:, 0, :2]).prod(
            axis=1
        )
    np.testing.assert_allclose(filled[0.0], 1, rtol=0.01)
    np.testing.assert_allclose(filled[np.pi / 2], 1, rtol=0.01)
    assert filled[np.pi / 4].max() < 0.52


def test_each_image_has_as_many_of_each_kind_as_asked_for():
    counts = rng(1).integers(0, 4, size=(500, 2))
    scenes = draw_shapes(counts, rng=rng(2), size=64, radius=(3.0, 6.0))
    for kind in range(2):
        np.testing.assert_array_equal(((scenes.kinds == kind) & scenes.present).sum(axis=1), counts[:, kind])
    assert (np.diff(scenes.present.astype(int), axis=1) <= 0).all()  # the first slots are filled first
    assert not scenes.boxes[~scenes.present].any()
    assert not scenes.kinds[~scenes.present].any()
    assert (scenes.boxes[scenes.present][:, 2:] > scenes.boxes[scenes.present][:, :2]).all()


def test_what_is_painted_is_what_was_counted():
    counts = rng(1).integers(0, 6, size=(100, 1))
    scenes = draw_shapes(counts, rng=rng(2), size=128, radius=(6.0, 12.0), max_overlap=0.0, kinds=("circle",), **CLEAN)
    diameters = scenes.boxes[..., 2] - scenes.boxes[..., 0]
    np.testing.assert_allclose(
        scenes.images.sum(axis=(1, 2, 3)), (np.pi / 4 * diameters**2).sum(axis=1), rtol=0.01, atol=1e-3
    )


def test_kinds_come_in_random_order():
    scenes = draw_shapes(np.ones((1000, 2), int), rng=rng(), size=64)
    assert 0.45 < scenes.kinds[:, 0].mean() < 0.55


@pytest.mark.parametrize("kind", KINDS)
def test_no_shape_reaches_beyond_its_radius(kind):
    """So that shapes as large as the image lie on it, whole."""
    scenes = only(kind, 500, size=64, radius=(32.0, 32.0))
    assert (scenes.boxes[..., :2] >= -1e-4).all()
    assert (scenes.boxes[..., 2:] <= 64 + 1e-4).all()


@pytest.mark.parametrize("limit", [0.0, 0.2, 0.5])
def test_no_two_objects_overlap_by_more_than_allowed(limit):
    scenes = draw_shapes(np.full((300, 2), 4), rng=rng(), size=64, radius=(5.0, 8.0), max_overlap=limit)
    shared = shared_areas(scenes)
    assert limit - 0.02 < shared.max() <= limit + 1e-5


def test_later_objects_cover_earlier_ones():
    scenes = draw_shapes(np.full((50, 1), 2), rng=rng(), size=32, max_overlap=1.0, noise=0.0, kinds=("circle",))
    y, x = np.indices((32, 32)) + 0.5
    covering = 0
    for image, (earlier, later) in zip(scenes.images[..., 0], scenes.boxes, strict=True):
        inside = np.hypot(x - later[[0, 2]].mean(), y - later[[1, 3]].mean()) < (later[2] - later[0]) / 2 - 1
        covering += (np.hypot(x - earlier[[0, 2]].mean(), y - earlier[[1, 3]].mean())[inside] < 4).any()
        assert np.ptp(image[inside]) < 1e-5
    assert covering > 10


def test_objects_keep_to_their_region():
    region = (10.0, 20.0, 40.0, 63.5)
    scenes = draw_shapes(np.full((200, 2), 1), rng=rng(), size=64, region=region, **CLEAN)
    boxes = scenes.boxes[scenes.present]
    assert (boxes[:, :2] >= np.array(region[:2]) - 1e-4).all()
    assert (boxes[:, 2:] <= np.array(region[2:]) + 1e-4).all()
    outside = np.ones((64, 64), bool)
    outside[19:, 9:41] = False
    assert not scenes.images[:, outside].any()


def test_objects_are_everywhere_on_the_image():
    boxes = only("circle", 2000, size=32, radius=(5.0, 5.0)).boxes[:, 0]
    for edge in (boxes[:, 0], boxes[:, 1], 32 - boxes[:, 2], 32 - boxes[:, 3]):
        np.testing.assert_allclose(np.quantile(edge, [0, 0.25, 0.5, 0.75, 1]), [0, 5.5, 11, 16.5, 22], atol=0.7)


def test_sizes_and_brightness_keep_to_their_ranges_and_fill_them():
    scenes = only("circle", 1000, size=32, radius=(4.0, 9.0), brightness=(0.3, 0.7))
    radii = (scenes.boxes[:, 0, 2] - scenes.boxes[:, 0, 0]) / 2
    levels = scenes.images.max(axis=(1, 2, 3))
    for values, (low, high) in ((radii, (4.0, 9.0)), (levels, (0.3, 0.7))):
        span = high - low
        assert low - 1e-5 <= values.min() < low + 0.05 * span
        assert high - 0.05 * span < values.max() <= high + 1e-5


def test_an_empty_image_is_noise_alone():
    scenes = draw_shapes(np.zeros((50, 2), int), rng=rng(), size=64, noise=0.1)
    assert scenes.images.shape == (50, 64, 64, 1)
    assert scenes.images.dtype == np.float32
    assert scenes.boxes.shape == (50, 0, 4)
    assert abs(scenes.images.mean()) < 0.001
    assert 0.099 < scenes.images.std() < 0.101
    pixels = scenes.images[..., 0]
    assert abs(np.mean(pixels[:, :, 1:] * pixels[:, :, :-1])) < 1e-4  # each pixel has its own


def test_no_images_are_no_images():
    scenes = draw_shapes(np.zeros((0, 2), int), rng=rng(), size=16, radius=(3.0, 5.0))
    assert scenes.images.shape == (0, 16, 16, 1)


def test_images_can_be_wider_than_high():
    scenes = only("rectangle", 300, size=(24, 60))
    assert scenes.images.shape == (300, 24, 60, 1)
    assert scenes.boxes[..., 2].max() > 55
    assert scenes.boxes[..., 3].max() <= 24


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    first, again, other = (draw_shapes(np.ones((5, 2), int), rng=rng(seed), size=48) for seed in (3, 3, 4))
    for values, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(values, same)
    assert not np.array_equal(first.boxes, other.boxes)
    assert not np.array_equal(first.images, other.images)


def test_one_generator_never_draws_an_image_twice():
    generator = rng()
    images = np.concatenate([draw_one_each(50, rng=generator).images for _ in range(4)])
    assert len(np.unique(images.reshape(200, -1), axis=0)) == 200


def test_one_each_draws_one_of_a_random_kind():
    scenes = draw_one_each(3000, rng=rng(), size=32, kinds=KINDS)
    assert scenes.present.shape == (3000, 1)
    assert scenes.present.all()
    np.testing.assert_allclose(np.bincount(scenes.kinds[:, 0], minlength=5) / 3000, 0.2, atol=0.03)


def test_kinds_are_those_asked_for():
    scenes = draw_shapes([[1, 0], [0, 1]], rng=rng(), size=128, radius=(40.0, 60.0), kinds=("ring", "circle"), **CLEAN)
    assert scenes.kinds[:, 0].tolist() == [0, 1]
    for image, box, filled in zip(scenes.images[..., 0], scenes.boxes[:, 0], (0.0, 1.0), strict=True):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        assert image[y, x] == filled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ("circle", "triangel")}, "asked to draw the shape 'triangel'; closest: 'triangle'"),
        ({"counts": [1, 2]}, r"found counts of shape \(2,\)"),
        ({"counts": [[1, 2, 3]]}, r"found counts of shape \(1, 3\)"),
        ({"counts": [[1, -1]]}, r"Give whole numbers from 0 on, \(image, 2\)"),
        ({"counts": [[0.5, 1.0]]}, "type float64"),
        ({"radius": (5.0, 17.0)}, "radius up to 17 pixels in 32 × 32 pixels; they do not fit"),
        ({"radius": (8.0, 5.0)}, "radii from 8 to 5 pixels; give a rising range above 0"),
        ({"radius": (0.0, 5.0)}, "radii from 0 to 5 pixels; give a rising range above 0"),
        ({"region": (0.0, 0.0, 15.0, 32.0)}, "do not fit. Lower the radius"),
        ({"region": (-5.0, 0.0, 32.0, 32.0)}, "x = -5 and 32 and y = 0 and 32.*Give a region on the image"),
        ({"region": (0.0, 0.0, 32.0, 40.0)}, "on an image of 32 × 32. Give a region on the image"),
        (
            {"counts": [[1, 0], [3, 0]], "radius": (15.0, 16.0)},
            r"up to 3 shapes.*1 of 2 images have no room.*at most 0\.2",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()),
)
def test_requests_without_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        draw_shapes(**{"counts": [[1, 1]], "rng": rng(), "size": 32, **settings})
