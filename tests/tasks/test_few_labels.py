"""Learning from few labels: what is reused is what was learned, what is new begins anew, image sizes do not matter."""

import numpy as np
import pytest

from hepnn.tasks.few_labels import (
    WAYS,
    Compared,
    compare,
    convolutions,
    head,
    joined,
    learn_from,
    scores_figure,
    scores_table,
)
from hepnn.tasks.shapes_transfer import NEW_KINDS, NEW_SIZE, OLD_SIZE, draw_new
from hepnn.training import seeded


@pytest.fixture(scope="module")
def learned():
    """Some convolutions, their weights before, and what was learned with them in all three ways."""
    with seeded(2):
        body = convolutions()
        before = [weights.copy() for weights in body.get_weights()]
        images, kinds = draw_new(60, np.random.default_rng(1))
        settings = {"n_kinds": len(NEW_KINDS), "rng": np.random.default_rng(2), "steps": 10}
        fits = learn_from(images, kinds, body=body, **settings, report=lambda line: None)
    return body, before, fits


def body_weights(model):
    return model.get_layer("convolutions").get_weights()


def distance(weights, others):
    return np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(weights, others, strict=True)))


def test_frozen_convolutions_stay_as_they_are(learned):
    body, before, fits = learned
    assert list(fits) == list(WAYS)
    for weights in (body.get_weights(), body_weights(fits["frozen"].model)):
        assert distance(weights, before) == 0


def test_fine_tuning_begins_with_what_was_learned_and_moves_it_little(learned):
    _, before, fits = learned
    tuned, new = (distance(body_weights(fits[way].model), before) for way in ("fine-tuned", "from scratch"))
    assert 0 < tuned < 0.2 * new


def test_all_ways_have_the_same_network(learned):
    *_, fits = learned
    assert len({fit.model.count_params() for fit in fits.values()}) == 1
    for fit in fits.values():
        assert fit.model.input_shape == (None, NEW_SIZE, NEW_SIZE, 1)
        assert fit.model.output_shape == (None, len(NEW_KINDS))


def test_a_frozen_network_says_what_its_head_says_about_the_features(learned):
    body, _, fits = learned
    images, _ = draw_new(30, np.random.default_rng(3))
    model = fits["frozen"].model
    expected = model.get_layer("head").predict(body.predict(images, verbose=0), verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-6)


def test_features_do_not_depend_on_the_size_of_the_image():
    with seeded(4):
        body = convolutions()
    rng = np.random.default_rng(4)
    # kernels only: with biases an empty image is not all zero, and its edges can be told
    body.set_weights([w + rng.normal(0, 0.1, w.shape) if w.ndim > 1 else w for w in body.get_weights()])
    small = np.zeros((1, OLD_SIZE, OLD_SIZE, 1), np.float32)
    small[:, 10:22, 9:23] = rng.random((1, 12, 14, 1))
    large = np.zeros((1, NEW_SIZE, NEW_SIZE, 1), np.float32)
    large[:, 12 : 12 + OLD_SIZE, 4 : 4 + OLD_SIZE] = small  # moved by multiples of the two poolings' 4 pixels
    np.testing.assert_allclose(body.predict(large, verbose=0), body.predict(small, verbose=0), atol=1e-6)


def test_a_head_is_made_for_any_number_of_kinds():
    for n_kinds in (2, 5):
        model = joined(convolutions(), head(n_kinds), shape=(20, 20, 1))
        np.testing.assert_allclose(model.predict(np.ones((1, 20, 20, 1)), verbose=0).sum(), 1, rtol=1e-5)


def test_the_number_of_channels_and_the_sides_are_free():
    model = joined(convolutions(3), head(2), shape=(40, 11, 3))
    assert model.predict(np.ones((2, 40, 11, 3)), verbose=0).shape == (2, 2)


@pytest.fixture(scope="module")
def compared():
    """Two sets of labelled images, judged by the number of images that are of the first kind according to the network."""
    lines = []
    test = draw_new(20, np.random.default_rng(7))
    with seeded(3):
        result = compare(
            draw_new,
            test,
            body=convolutions(),
            n_kinds=len(NEW_KINDS),
            score=lambda probabilities, kinds: float(np.mean(probabilities.argmax(axis=1) == kinds)),
            what="accuracy",
            n_sets={20: 2, 40: 1},
            steps=5,
            rng=np.random.default_rng(8),
            shown=40,
            report=lines.append,
        )
    return result, lines, test


def test_every_way_is_judged_with_each_number_of_labels_on_each_set(compared):
    result, lines, (images, kinds) = compared
    assert set(result.scores) == set(result.fits) == set(WAYS)
    assert all({n: len(sets) for n, sets in each.items()} == {20: 2, 40: 1} for each in result.scores.values())
    assert len(lines) == 3
    assert lines[1].startswith("20 labels, 2/2: accuracy from scratch ")
    for way, fit in result.fits.items():  # the networks that are returned are those of the first set
        right = fit.model.predict(images, verbose=0).argmax(axis=1) == kinds
        assert right.mean() == result.of(way, 40)[0]


def test_the_table_has_the_means_and_the_figure_a_band_each():
    scores = {way: {50: [0.5 + i / 100, 0.7 + i / 100], 100: [0.8, 0.9, 0.9]} for i, way in enumerate(WAYS)}
    shown = Compared(scores, {})
    table = scores_table(shown, "title")
    assert list(table.columns) == ["labels", "sets", *WAYS]
    assert [row[:2] for row in table.rows] == [(50, 2), (100, 3)]
    assert table.rows[0][2].value == pytest.approx(0.6)
    assert table.rows[0][2].error == pytest.approx(0.1)  # 0.2/√2, the spread of two, over √2
    (axes,) = scores_figure(shown, xlabel="labels", ylabel="accuracy").axes
    assert axes.get_xscale() == "log"
    assert len(axes.collections) == len(WAYS)
    assert axes.get_legend_handles_labels()[1] == list(WAYS)
