"""Padding: where it goes, what a mask makes of it, and what the table says."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks import sequence_padding as task
from hepnn.tasks.sequence_padding import Sequences, Setting


@pytest.fixture(scope="module")
def result():
    return TASKS["sequence-padding"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def sequences():
    return task.draw(300, np.random.default_rng(3))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_no_way_of_padding_changes_a_masked_output_and_all_change_the_other(result):
    rows = {row[0]: row[1:] for row in result.tables[1].rows}
    assert set(rows) == {
        "no padding", "before", "64 slots", "filled with 1", "filled with 1000", "filled with noise of 10",
    }  # fmt: skip
    assert max(masked for masked, _ in rows.values()) < 1e-5
    assert min(unmasked for name, (_, unmasked) in rows.items() if name != "64 slots") > 0.01  # zeros it may hold over
    assert result.metrics[0].value == max(masked for masked, _ in rows.values())


def test_a_quick_run_shows_padding_after_with_mask_and_without(result):
    rows = result.tables[0].rows
    assert [row[:4] for row in rows] == [
        ("first", "forwards", "after", "31"),
        ("last", "forwards", "after", "12 to 27"),
    ]
    for *_, masked, unmasked in rows:
        assert 0.4 < unmasked.value < masked.value + 3 * masked.error


def test_the_full_table_has_every_setting_once():
    full = task.settings(quick=False)
    assert len(full) == len(set(full)) == 20
    combinations = {each[:3] + each[3:] for each in full if each.padding != "none"}
    assert len(combinations) == 2 * 2 * 2 * 2
    assert set(task.settings(quick=True)) < set(full)
    assert len({str(each) for each in full}) == 20


def written_out(padding):
    sequences = Sequences(np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2), np.array([1, 3]))
    sequences.values[0, 1:] = 0
    return task.arranged(sequences, padding=padding, slots=4, fill=-9.0)


def test_padding_after_and_before_put_the_vectors_where_they_say():
    after, before, none = map(written_out, ("after", "before", "none"))
    assert after["values"][..., 0].tolist() == [[1, -9, -9, -9], [7, 9, 11, -9]]
    assert before["values"][..., 0].tolist() == [[-9, -9, -9, 1], [-9, 7, 9, 11]]
    assert none["values"][..., 0].tolist() == [[1, -9, -9], [7, 9, 11]]
    for inputs in (after, before, none):
        np.testing.assert_array_equal(inputs["mask"], inputs["values"][..., 0] != -9)
        assert inputs["values"].dtype == np.float32


def test_the_important_vector_is_the_first_or_the_last_real_one(sequences):
    for values, length, first, last in zip(
        *sequences, sequences.points_up("first"), sequences.points_up("last"), strict=True
    ):
        assert first == (values[0, 1] > 0)
        assert last == (values[length - 1, 1] > 0)
        assert not values[length:].any()
    assert (sequences.lengths.min(), sequences.lengths.max()) == task.LENGTHS


@pytest.mark.parametrize("setting", task.settings(quick=False), ids=str)
def test_the_steps_to_go_are_those_that_are_read_behind_the_important_vector(setting, sequences):
    if setting.padding == "none" or setting.masked:
        row = np.arange(20) < sequences.lengths[:, None]
    else:
        row = np.ones((300, task.SLOTS), bool)
    to_go = []
    for lengths, slots in zip(sequences.lengths, row, strict=True):
        n_read = int(slots.sum())
        start = n_read - lengths if setting.padding == "before" and n_read == task.SLOTS else 0
        at = start + (0 if setting.important == "first" else lengths - 1)
        to_go.append(at if setting.backwards else n_read - 1 - at)
    assert setting.steps_to_go == (min(to_go), max(to_go))


@pytest.mark.parametrize("padding", ["after", "before"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_a_mask_takes_all_padding_out_whichever_way_the_network_reads(sequences, padding, backwards):
    setting = Setting("first", padding, masked=True, backwards=backwards)
    model = task.network(setting)
    elsewhere = "before" if padding == "after" else "after"
    for other in ({"padding": "none"}, {"padding": elsewhere, "slots": 40, "fill": 7.0}):
        assert task.largest_change(model, sequences, setting=setting, padded=other) < 1e-5
    unmasked = setting._replace(masked=False)
    other = {"slots": 50, "fill": 7.0}
    assert task.largest_change(task.network(unmasked), sequences, setting=unmasked, padded=other) > 1e-3


def test_reading_backwards_turns_the_padded_row_around(sequences):
    there, back = (Setting("first", "after", masked=False, backwards=backwards) for backwards in (False, True))
    forwards, backwards = task.network(there), task.network(back)
    backwards.set_weights(forwards.get_weights())
    values = task.arranged(sequences, padding="after")["values"]
    np.testing.assert_allclose(backwards({"values": values}), forwards({"values": values[:, ::-1]}), atol=1e-6)


def test_each_setting_trains_a_network_of_its_own(result):
    weights = [fit.model.get_layer("lstm").get_weights()[0] for fit in result.fits.values()]
    assert len(weights) == 4
    assert all(np.abs(one - weights[0]).max() > 1e-3 for one in weights[1:])


def test_models_and_pictures_can_be_taken_away(result, sequences, tmp_path):
    result.model.save(tmp_path / "lstm.keras")
    inputs = task.arranged(sequences, padding="after")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "lstm.keras")(inputs), result.model(inputs))
    assert set(result.figures) == {"accuracy", "reading on", "learning"}
    assert all(np.isfinite(fit.history["loss"]).all() and fit.seconds > 0 for fit in result.fits.values())
