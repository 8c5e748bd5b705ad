"""A sequence in, another of another length out."""

import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.fitting import streams
from hepnn.tasks.sequence_to_sequence import DIGITS, RULES, START, STEPS, STOP, Networks, build, decode, draw

SEED = 1


@pytest.fixture(scope="module")
def result():
    return TASKS["sequence-to-sequence"].run(seed=SEED, quick=True)


@pytest.fixture(scope="module")
def networks(result):
    """The networks of the first rule."""
    fits = [result.fits[name].model for name in ("backwards, encoder", "backwards, decoder", "backwards")]
    return Networks(*fits)


def plain(rule, digits):
    """What is to be written, in plain Python."""
    if rule == "sorted":
        return sorted(set(digits))
    written = []
    for digit in reversed(digits):
        if written[-1:] != [digit]:
            written.append(digit)
    return written


def written_alone(networks, digits, *, most):
    """What the decoder writes for one sequence without padding, token by token."""
    tokens = np.array([digits], np.int32)
    states = networks.encoder.predict_on_batch({"tokens": tokens, "mask": np.ones_like(tokens, bool)})
    last, written = START, []
    while last != STOP and len(written) < most:
        output = networks.decoder.predict_on_batch({"written": np.array([[last]], np.int32), **states})
        states = {name: output[name] for name in ("hidden", "cell")}
        last = int(np.argmax(output["probabilities"]))
        written.append(last)
    return written


def digits_of(examples):
    tokens, mask = examples.inputs["tokens"], examples.inputs["mask"]
    return [row[there].tolist() for row, there in zip(tokens, mask, strict=True)]


def test_a_quick_run_reaches_its_bound(result):
    assert result.passed, result.metrics


@pytest.mark.parametrize("rule", RULES)
def test_targets_are_what_plain_python_makes_of_the_input(rule):
    examples = draw(500, np.random.default_rng(2), rule=RULES[rule])
    for index, digits in enumerate(digits_of(examples)):
        expected = [*plain(rule, digits), STOP]
        n = len(expected)
        assert examples.targets[index, :n].tolist() == expected
        assert examples.weights[index].tolist() == [1] * n + [0] * (STEPS[1] + 1 - n)
        assert examples.inputs["written"][index, :n].tolist() == [START, *expected[:-1]]


def test_inputs_have_every_length_every_digit_and_repetitions():
    inputs = draw(20_000, np.random.default_rng(3), rule=RULES["sorted"]).inputs
    tokens, mask = inputs["tokens"], inputs["mask"]
    lengths = np.bincount(mask.sum(axis=1), minlength=STEPS[1] + 1)
    assert lengths[: STEPS[0]].sum() == 0
    assert np.all(np.abs(lengths[STEPS[0] :] - 2_000) < 5 * np.sqrt(2_000))
    np.testing.assert_allclose(np.bincount(tokens[mask], minlength=DIGITS) / mask.sum(), 0.1, atol=0.005)
    follows = mask[:, 1:]
    # the same by repetition, or by chance
    assert np.mean((tokens[:, 1:] == tokens[:, :-1])[follows]) == pytest.approx(0.2 + 0.8 * 0.1, abs=0.006)


def test_the_length_of_the_output_does_not_follow_from_that_of_the_input(result):
    for rule in RULES.values():
        examples = draw(2_000, np.random.default_rng(4), rule=rule, steps=(8, 8))
        assert len(np.unique(examples.weights.sum(axis=1))) > 3


def test_what_counts_is_the_share_of_sequences_written_right_to_the_stop(result, networks):
    examples = draw(result.n_test, streams(SEED).test, rule=RULES["backwards"])
    # the test data of the first rule are the first that its generator gives
    written, _ = decode(networks, examples.inputs["tokens"], mask=examples.inputs["mask"], most=STEPS[1] + 1)
    right = []
    for row, digits in zip(written.tolist(), digits_of(examples), strict=True):
        expected = [*plain("backwards", digits), STOP]
        right.append(STOP in row and row[: row.index(STOP) + 1] == expected)
    assert result.metrics[0].value == pytest.approx(np.mean(right), abs=1e-12)


def test_sequences_side_by_side_are_written_as_each_alone(networks):
    examples = draw(25, np.random.default_rng(5), rule=RULES["backwards"])
    most = STEPS[1] + 1
    written, probabilities = decode(networks, examples.inputs["tokens"], mask=examples.inputs["mask"], most=most)
    for row, sure, digits in zip(written, probabilities, digits_of(examples), strict=True):
        alone = written_alone(networks, digits, most=most)
        assert row[: len(alone)].tolist() == alone
        assert np.all(row[len(alone) :] == STOP)
        np.testing.assert_allclose(sure[: len(alone)].sum(axis=1), 1, rtol=1e-5)
        assert np.all(sure[len(alone) :] == 0)


def test_a_decoder_that_never_stops_is_stopped():
    networks = build("endless")
    dense = networks.decoder.layers[-1]
    kernel, bias = dense.get_weights()
    bias[7] = 100
    dense.set_weights([kernel, bias])
    written, _ = decode(networks, np.zeros((3, 4), np.int32), mask=np.ones((3, 4), bool), most=9)
    assert np.all(written == 7)
    assert written.shape == (3, 9)


def test_what_the_trained_network_knows_encoder_and_decoder_know(networks):
    inputs = draw(50, np.random.default_rng(6), rule=RULES["backwards"]).inputs
    expected = networks.trained.predict(inputs, verbose=0)
    output = networks.encoder.predict({key: inputs[key] for key in ("tokens", "mask")}, verbose=0)
    for step in range(expected.shape[1]):
        states = {key: output[key] for key in ("hidden", "cell")}
        output = networks.decoder.predict_on_batch({"written": inputs["written"][:, step, None], **states})
        np.testing.assert_allclose(output["probabilities"][:, 0], expected[:, step], rtol=1e-3, atol=1e-5)


def test_neither_more_padding_nor_what_it_holds_changes_the_states(networks):
    inputs = draw(30, np.random.default_rng(7), rule=RULES["backwards"]).inputs
    mask = np.pad(inputs["mask"], ((0, 0), (0, 5)))
    tokens = np.where(mask, np.pad(inputs["tokens"], ((0, 0), (0, 5))), 9).astype(np.int32)
    expected = networks.encoder.predict({key: inputs[key] for key in ("tokens", "mask")}, verbose=0)
    found = networks.encoder.predict({"tokens": tokens, "mask": mask}, verbose=0)
    for name in ("hidden", "cell"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_what_comes_after_stop_has_no_weight_in_the_loss(result):
    # validation data of both rules come from one generator, those of the first rule first
    inputs, targets, weights = draw(2_000, streams(SEED).validation, rule=RULES["backwards"])
    probabilities = result.model.predict(inputs, batch_size=1024, verbose=0)
    nats = -np.log(np.take_along_axis(probabilities, targets[..., None], axis=-1)[..., 0])
    found = result.fits["backwards"].history["val_loss"][-1]
    # Keras takes the mean of each batch's mean, and batches have somewhat more or fewer tokens
    assert found == pytest.approx(np.mean(nats[weights > 0]), rel=0.02)
    assert found != pytest.approx(np.mean(nats), rel=0.1)


def test_the_table_has_both_rules_and_fewer_digits_to_write_than_to_read(result):
    (table,) = result.tables
    assert [row[0] for row in table.rows] == list(RULES)
    for _, n_read, n_to_write, token, whole in table.rows:
        assert n_to_write < n_read
        assert whole.value < token.value  # one wrong token spoils a sequence
    assert table.rows[0][4].value == result.metrics[0].value


def test_models_can_be_taken_away(networks, result, tmp_path):
    assert result.model is networks.trained
    assert not result.fits["backwards, encoder"].history
    inputs = draw(10, np.random.default_rng(8), rule=RULES["backwards"]).inputs
    again = []
    for name, model in networks._asdict().items():
        model.save(tmp_path / f"{name}.keras")
        again.append(keras.models.load_model(tmp_path / f"{name}.keras"))
    expected, found = (each.trained.predict(inputs, verbose=0) for each in (networks, Networks(*again)))
    np.testing.assert_array_equal(found, expected)
    expected, found = (
        decode(each, inputs["tokens"], mask=inputs["mask"], most=13)[0] for each in (networks, Networks(*again))
    )
    np.testing.assert_array_equal(found, expected)
    assert set(result.figures) == {"what it wrote", "how sure it was", "how long an input can be", "learning"}
