"""What recurrent layers return: all that they can is compared, and the layers do differ from wrong equations."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS, references, sequence_states


@pytest.fixture(scope="module")
def result():
    return TASKS["sequence-states"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert result.metrics[0].value > 0  # float32 was compared with float64


def test_every_way_to_return_is_compared_for_every_layer_and_padding(result):
    rows = {row[:2]: row[2:] for row in result.tables[0].rows}
    kinds = ("LSTM", "GRU", "GRU, reset before", "SimpleRNN")
    assert set(rows) == {(kind, name) for kind in kinds for name in sequence_states.RETURNED}
    assert rows["LSTM", "last output"][0] == "4"
    assert rows["LSTM", "sequence and states"][0] == "12 × 4, 4, 4"
    assert rows["GRU", "last output and states"][0] == "4, 4"
    assert result.tables[0].columns[3:] == ("no padding", "padding after", "padding before")
    assert all(difference < 1e-5 for row in rows.values() for difference in row[1:])


def test_states_handed_over_continue_the_sequence_and_zeros_do_not(result):
    for _, handed_over, forgotten in result.tables[1].rows:
        assert handed_over < 1e-5
        assert forgotten > 1e-3


@pytest.fixture(scope="module")
def lstm():
    """Model, inputs and outputs of LSTMs, with padding after."""
    rng = np.random.default_rng(4)
    model = sequence_states.layers_of("LSTM", rng)
    inputs = {
        "values": rng.normal(size=(8, 6, 3)).astype(np.float32),
        "mask": np.arange(6) < np.array([1, 2, 3, 4, 5, 6, 6, 3])[:, None],
    }
    return model, inputs, model.predict(inputs, verbose=0)


def test_the_last_output_is_the_hidden_state_and_the_last_real_step(lstm):
    _, inputs, outputs = lstm
    last, hidden, _ = outputs["last output and states"]
    sequence, *_ = outputs["sequence and states"]
    np.testing.assert_array_equal(last, hidden)
    np.testing.assert_allclose(outputs["last output"], last, atol=1e-6)
    ends = inputs["mask"].sum(axis=1) - 1
    np.testing.assert_allclose(sequence[np.arange(8), ends], last, atol=1e-6)
    np.testing.assert_allclose(sequence[:, -1], last, atol=1e-6)


def test_the_cell_state_is_another_thing_than_the_hidden_state(lstm):
    *_, hidden, cell = lstm[2]["last output and states"]
    assert (np.abs(hidden) < 1).all()
    assert (np.abs(hidden) < np.abs(np.tanh(cell))).all()  # what the output gate lets through
    assert np.abs(cell - hidden).max() > 0.1


def test_equations_with_gates_in_another_order_do_not_fit(lstm):
    model, inputs, outputs = lstm
    weights = next(layer for layer in model.layers if layer.weights).get_weights()
    assert any(np.abs(array).min() > 0 for array in weights[2:])  # biases are not 0

    def difference(weights):
        steps = references.lstm(inputs["values"], weights, mask=inputs["mask"])
        return np.abs(steps.hidden - outputs["sequence"]).max()

    swapped = [np.concatenate([np.split(w, 4, axis=-1)[i] for i in (1, 0, 2, 3)], axis=-1) for w in weights]
    no_mask = references.lstm(inputs["values"], weights)
    assert difference(weights) < 1e-5
    assert difference(swapped) > 0.05
    assert np.abs(no_mask.hidden - outputs["sequence"]).max() > 0.05


def test_the_unit_written_by_hand_keeps_the_marked_value_and_counts_the_markers():
    values = np.array([0.9, -0.5, 0.3, 1.2, -1.0, 0.1])
    marker = np.array([0, 1, 0, 0, 1, 0])
    model = sequence_states.by_hand()
    sequence, hidden, cell = model.predict(np.stack([values, marker], axis=-1)[None], verbose=0)
    kept = np.tanh([0, -0.5, -0.5, -0.5, -1.0, -1.0])
    np.testing.assert_allclose(sequence[0, :, 0], np.tanh(kept), atol=2e-4)
    np.testing.assert_allclose(cell[0], [kept[-1], 2 * 0.5], atol=2e-4)
    np.testing.assert_allclose(sequence[0, :, 1], np.tanh([0, 0.5, 0.5, 0.5, 1, 1]), atol=2e-4)
    np.testing.assert_allclose(hidden[0], sequence[0, -1], atol=1e-6)


def test_models_can_be_taken_away(result, tmp_path):
    assert set(result.fits) == {*sequence_states.KINDS, "by hand"}
    result.model.save(tmp_path / "lstm.keras")
    assert set(keras.models.load_model(tmp_path / "lstm.keras").output) == set(sequence_states.RETURNED)
    assert set(result.figures) == {"gates at work", "states"}
    assert result.seconds == 0
