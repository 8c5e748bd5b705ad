"""The longest of a sequence of vectors, and where it stands."""

import keras
import numpy as np
import pytest

from hepnn.generators.vectors import draw_vectors
from hepnn.tasks import TASKS
from hepnn.tasks.fitting import streams
from hepnn.tasks.vectors_longest import STEPS, answers, draw, longest, recurrent

SEED = 1


@pytest.fixture(scope="module")
def result():
    return TASKS["vectors-longest"].run(seed=SEED, quick=True)


@pytest.fixture(scope="module")
def judged(result):
    """The test sequences, drawn again, the truth in plain Python, and what the network says."""
    sequences = draw_vectors(result.n_test, rng=streams(SEED).test, steps=STEPS)
    truth = [plain_longest(*sequence) for sequence in zip(sequences.vectors, sequences.mask, strict=True)]
    return sequences, truth, result.model.predict(sequences._asdict(), verbose=0)


def plain_longest(vectors, mask):
    lengths = [float(np.hypot(*vector)) for vector, there in zip(vectors, mask, strict=True) if there]
    return max(lengths), lengths.index(max(lengths))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_what_is_measured_is_what_plain_python_finds(result, judged):
    _, truth, said = judged
    right = [place == int(np.argmax(p)) for (_, place), p in zip(truth, said["position"], strict=True)]
    differences = [length - float(p[0]) for (length, _), p in zip(truth, said["length"], strict=True)]
    position, length = result.metrics
    assert position.value == pytest.approx(np.mean(right), abs=1e-12)
    rmse = np.sqrt(np.mean(np.square(differences)))
    assert length.value == pytest.approx(rmse / np.std([length for length, _ in truth]), rel=1e-4)
    assert position.uncertainty == pytest.approx(np.sqrt(np.mean(right) * (1 - np.mean(right)) / len(right)), rel=0.02)


def test_training_data_carry_the_same_truth():
    inputs, targets = draw(200, np.random.default_rng(3))
    for index in range(200):
        length, place = plain_longest(inputs["vectors"][index], inputs["mask"][index])
        assert targets["length"][index, 0] == pytest.approx(length, rel=1e-6)
        assert targets["position"][index] == place
        assert inputs["mask"][index, place]


def test_the_network_is_one_lstm_layer_and_a_dense_one_for_each_answer():
    model = recurrent()
    layers = [type(layer) for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert layers == [keras.layers.LSTM, keras.layers.Dense, keras.layers.Dense]
    inputs = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
    assert inputs == {"vectors": (None, None, 2), "mask": (None, None)}
    probability = answers_of(model, draw_vectors(5, rng=np.random.default_rng(0)))["position"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)


def answers_of(model, sequences):
    return model.predict(sequences._asdict(), verbose=0)


def test_neither_more_padding_nor_what_it_holds_changes_an_answer(result):
    sequences = draw_vectors(50, rng=np.random.default_rng(4), steps=(5, 12))
    longer = draw_vectors(50, rng=np.random.default_rng(5), steps=(STEPS[1], STEPS[1]))
    vectors, mask = longer.vectors * 10, np.zeros_like(longer.mask)
    mask[:, :12] = sequences.mask
    vectors[mask] = sequences.vectors[sequences.mask]
    padded = type(sequences)(vectors, mask)
    expected, found = answers_of(result.model, sequences), answers_of(result.model, padded)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_answers_are_the_length_and_the_most_likely_place(result, judged):
    sequences, _, said = judged
    found = answers(result.model, sequences)
    np.testing.assert_allclose(found.length, said["length"][:, 0], rtol=1e-4, atol=1e-5)
    assert np.mean(found.position == said["position"].argmax(axis=1)) > 0.999


def test_tables_add_up_to_what_was_measured(result, judged):
    sequences, _, _ = judged
    by_gap, by_number = result.tables
    shares, right = np.array([row[1] for row in by_gap.rows]), np.array([row[2].value for row in by_gap.rows])
    assert shares.sum() == pytest.approx(1)
    assert shares @ right == pytest.approx(result.metrics[0].value)
    gaps = [-np.subtract(*np.sort(lengths)[-2:]) for lengths in sequences.lengths]
    assert shares[0] == pytest.approx(np.mean(np.array(gaps) < 0.02))
    counts = sequences.mask.sum(axis=1)
    weights = [np.mean((counts >= low) & (counts <= low + 3)) for low in (5, 9, 13, 17)]
    assert np.dot(weights, [row[1].value for row in by_number.rows]) == pytest.approx(result.metrics[0].value)
    squares = np.square([row[3].value for row in by_number.rows])
    assert np.sqrt(weights @ squares) == pytest.approx(result.metrics[1].value)
    assert by_number.rows[0][2] == pytest.approx(np.mean(1 / counts[counts < 9]))


def test_near_ties_are_the_hard_ones(result):
    rows = result.tables[0].rows
    assert rows[-1][2].value > rows[0][2].value


def test_there_are_pictures_and_a_model_to_take_away(result, judged, tmp_path):
    assert set(result.figures) == {
        "what it read and what it chose",
        "near ties",
        "predicted against true length",
        "where its gates look",
        "learning",
    }
    sequences, _, said = judged
    result.model.save(tmp_path / "longest.keras")
    again = keras.models.load_model(tmp_path / "longest.keras").predict(sequences._asdict(), verbose=0)
    np.testing.assert_array_equal(again["position"], said["position"])


def test_the_truth_of_one_sequence():
    vectors = np.array([[[3, 4], [0, 6], [-5, 5], [0, 0]]], np.float32)
    sequences = type(draw_vectors(1, rng=np.random.default_rng(0)))(vectors, np.array([[True, True, True, False]]))
    truth = longest(sequences)
    assert truth.length[0] == pytest.approx(50**0.5)
    assert truth.position[0] == 2
