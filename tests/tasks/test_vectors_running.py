"""The largest length so far, at every step."""

import keras
import numpy as np
import pytest

from hepnn.generators.vectors import Sequences, draw_vectors
from hepnn.tasks import TASKS
from hepnn.tasks.fitting import streams
from hepnn.tasks.vectors_running import STEPS, draw, running_largest

SEED = 1


@pytest.fixture(scope="module")
def result():
    return TASKS["vectors-running"].run(seed=SEED, quick=True)


@pytest.fixture(scope="module")
def judged(result):
    """The test sequences, drawn again, the truth in plain Python, and what the network says, at real steps."""
    sequences = draw_vectors(result.n_test, rng=streams(SEED).test, steps=STEPS)
    said = said_by(result.model, sequences)
    steps, truth, answers = [], [], []
    for vectors, mask, row in zip(sequences.vectors, sequences.mask, said, strict=True):
        largest = 0.0
        for step in range(int(mask.sum())):
            largest = max(largest, float(np.hypot(*vectors[step])))
            steps.append(step + 1)
            truth.append(largest)
            answers.append(float(row[step]))
    return np.array(steps), np.array(truth), np.array(answers)


def said_by(model, sequences):
    return model.predict(sequences._asdict(), batch_size=1024, verbose=0)[..., 0]


def test_a_quick_run_reaches_its_bound(result):
    assert result.passed, result.metrics


def test_what_is_measured_is_what_plain_python_finds(result, judged):
    steps, truth, said = judged
    (metric,) = result.metrics
    assert metric.value == pytest.approx(np.sqrt(np.mean((said - truth) ** 2)) / np.std(truth), rel=1e-4)
    rows = {name: rest for name, *rest in result.tables[0].rows}
    for step in (1, 2, 5, 10, 20):
        differences = (said - truth)[steps == step] / np.std(truth)
        off, too_high = rows[f"at step {step}"]
        assert off.value == pytest.approx(np.sqrt(np.mean(differences**2)), rel=1e-4)
        assert too_high == pytest.approx(np.mean(differences), abs=1e-4)


def test_knowing_only_the_step_is_not_enough(result, judged):
    steps, truth, _ = judged
    means = {step: np.mean(truth[steps == step]) for step in np.unique(steps)}
    guessed = np.sqrt(np.mean([(value - means[step]) ** 2 for step, value in zip(steps, truth, strict=True)]))
    name, off, _ = result.tables[0].rows[1]
    assert name == "at all steps, by someone who knows only the step"
    assert off == pytest.approx(guessed / np.std(truth), rel=1e-4)
    assert off > result.metrics[0].value * 1.5


def test_the_largest_so_far_of_one_sequence():
    vectors = np.array([[[3, 4], [0, 1], [-6, 8], [1, 1], [0, 0]]], np.float32)
    sequences = Sequences(vectors, np.array([[True] * 4 + [False]]))
    np.testing.assert_allclose(running_largest(sequences)[0, :4], [5, 5, 10, 10])


def test_padded_steps_have_no_weight_in_the_loss(result):
    inputs, targets, weights = draw(2_000, streams(SEED).validation)
    np.testing.assert_array_equal(weights, inputs["mask"])
    squares = (result.model.predict(inputs, batch_size=1024, verbose=0) - targets)[..., 0] ** 2
    found = result.fits["lstm"].history["val_loss"][-1]
    # Keras takes the mean of each batch's mean, and batches have somewhat more or fewer real steps
    assert found == pytest.approx(np.mean(squares[inputs["mask"]]), rel=0.02)
    spoiled = np.where(inputs["mask"][..., None], targets, np.float32(1e3))
    losses = [
        result.model.evaluate(inputs, wanted, sample_weight=weights, return_dict=True, verbose=0)["loss"]
        for wanted in (targets, spoiled)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_an_answer_knows_nothing_of_what_follows(result):
    sequences = draw_vectors(40, rng=np.random.default_rng(3), steps=(20, 20))
    changed = sequences.vectors.copy()
    changed[:, 8:] *= 3
    before, after = (said_by(result.model, sequences._replace(vectors=each)) for each in (sequences.vectors, changed))
    np.testing.assert_allclose(before[:, :8], after[:, :8], rtol=1e-5, atol=1e-6)
    assert np.abs(before[:, 8:] - after[:, 8:]).max() > 0.1


def test_the_number_of_steps_is_not_built_in(result):
    longest = draw_vectors(20, rng=np.random.default_rng(4), steps=(80, 80))
    first = Sequences(longest.vectors[:, :20], longest.mask[:, :20])
    np.testing.assert_allclose(
        said_by(result.model, longest)[:, :20], said_by(result.model, first), rtol=1e-4, atol=1e-5
    )
    names = [row[0] for row in result.tables[0].rows]
    assert "at step 80, longer than any in training" in names


def test_the_network_answers_at_every_step_with_one_dense_layer(result):
    layers = [type(layer) for layer in result.model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert layers == [keras.layers.LSTM, keras.layers.Dense]
    assert result.model.output_shape == (None, None, 1)


def test_there_are_pictures_and_a_model_to_take_away(result, tmp_path):
    assert set(result.figures) == {"what it said, step by step", "predicted against true", "learning"}
    sequences = draw_vectors(10, rng=np.random.default_rng(5))
    result.model.save(tmp_path / "running.keras")
    again = keras.models.load_model(tmp_path / "running.keras")
    np.testing.assert_array_equal(said_by(again, sequences), said_by(result.model, sequences))
