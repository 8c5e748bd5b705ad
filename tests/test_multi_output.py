"""A network with several answers about one image."""

import keras
import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.models.multi_output import multi_output
from hepnn.scaling import Scaling
from hepnn.tensors import TensorSpec

UNSCALED = Scaling((0.0, 0.0), (1.0, 1.0), (-100.0, -100.0), (100.0, 100.0))
SPECS = {"image": TensorSpec((9, 8, 2), UNSCALED)}
SMALL = {"filters": (4, 5), "body_units": 8, "head_units": 6}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return multi_output(SPECS, 3, numbers={"energy": 1, "place": 2}, **SMALL)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).exponential(1, (16, 9, 8, 2)).astype(np.float32)


def test_answers_are_probabilities_of_the_kind_and_numbers(model, images):
    answers = model.predict({"image": images}, verbose=0)
    assert {name: values.shape for name, values in answers.items()} == {
        "kind": (16, 3),
        "energy": (16, 1),
        "place": (16, 2),
    }
    np.testing.assert_allclose(answers["kind"].sum(axis=1), 1, rtol=1e-5)
    assert (answers["kind"] >= 0).all()
    for name in ("energy", "place"):
        assert answers[name].min() < 0 or answers[name].max() > 1  # no probabilities


def test_the_body_is_shared_and_each_head_is_its_own(model, images):
    weights = model.get_weights()
    before = model.predict({"image": images}, verbose=0)
    head = model.get_layer("energy_head")
    head.set_weights([weight + 1 for weight in head.get_weights()])
    after = model.predict({"image": images}, verbose=0)
    np.testing.assert_array_equal(after["kind"], before["kind"])
    assert not np.allclose(after["energy"], before["energy"])
    body = model.get_layer("body")
    body.set_weights([weight + 1 for weight in body.get_weights()])
    assert all(
        not np.allclose(values, after[name]) for name, values in model.predict({"image": images}, verbose=0).items()
    )
    model.set_weights(weights)


def test_answers_depend_on_the_place(model, images):
    shifted = np.roll(images, 3, axis=1)
    place = [model.predict({"image": each}, verbose=0)["place"] for each in (images, shifted)]
    assert np.abs(place[0] - place[1]).max() > 1e-3


def test_keras_takes_loss_weight_and_target_of_each_by_its_name(images):
    model = multi_output(SPECS, 3, numbers={"energy": 1}, **SMALL)
    model.compile(
        "adam", loss={"kind": "sparse_categorical_crossentropy", "energy": "mae"}, loss_weights={"kind": 1, "energy": 5}
    )
    targets = {"kind": np.arange(16) % 3, "energy": np.ones((16, 1), np.float32)}
    history = model.fit({"image": images}, targets, epochs=30, verbose=0).history
    for name in ("loss", "kind_loss", "energy_loss"):
        assert history[name][-1] < history[name][0]


def test_one_answer_is_enough(images):
    assert list(multi_output(SPECS, 2, numbers={}, **SMALL).output) == ["kind"]
    assert list(multi_output(SPECS, 0, numbers={"energy": 1}, **SMALL).output) == ["energy"]


def test_a_keras_file_gives_the_same_model_again(model, images, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").predict({"image": images}, verbose=0)
    for name, values in model.predict({"image": images}, verbose=0).items():
        np.testing.assert_array_equal(again[name], values)


def test_channels_first_give_the_same(model, images):
    first = multi_output(
        {"image": TensorSpec((2, 9, 8), UNSCALED, channel_axis=0)}, 3, numbers={"energy": 1, "place": 2}, **SMALL
    )
    first.set_weights(model.get_weights())
    expected = model.predict({"image": images}, verbose=0)
    for name, values in first.predict({"image": np.moveaxis(images, -1, 1)}, verbose=0).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("n_classes", "numbers"),
    [(0, {}), (3, {"kind": 1}), (3, {"energy": 0})],
    ids=["nothing", "kind twice", "no number"],
)
def test_what_is_no_answer_is_refused(n_classes, numbers):
    with pytest.raises(
        InputError, match=r"asked for a network with \d classes and the numbers .*give at least one answer"
    ):
        multi_output(SPECS, n_classes, numbers=numbers)


def test_particles_are_refused():
    with pytest.raises(InputError, match="asked for images with 3 axes"):
        multi_output({"particles": TensorSpec((None, 2), UNSCALED)}, 2, numbers={})
