"""The tour of layers: what it claims is claimed of every layer of the lecture, and a wrong number would be seen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepnn.tasks import TASKS, layers_tour
from hepnn.tasks.layer_examples import examples, moving_clusters, pulse, pulses, rings, showers

LECTURE = {
    *(f"Conv{n}D" for n in (1, 2, 3)),
    *(f"Conv{n}DTranspose" for n in (1, 2, 3)),
    *(f"{layer}{n}D" for layer in ("UpSampling", "ZeroPadding", "MaxPooling", "AveragePooling") for n in (1, 2, 3)),
    "Flatten",
    "LSTM",
    "GRU",
    "SimpleRNN",
    "TimeDistributed",
    "ConvLSTM2D",
}


@pytest.fixture(scope="module")
def result():
    return TASKS["layers-tour"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def stops():
    return {stop.name: stop for stop in examples(np.random.default_rng(3))}


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_every_layer_of_the_lecture_is_shown_and_agrees_with_its_reference(result):
    rows = result.tables[0].rows
    assert {row[0] for row in rows} == LECTURE
    assert all(row[-1] < 1e-5 for row in rows)
    assert result.metrics[0].value == max(row[-1] for table in result.tables[:2] for row in table.rows)


def test_what_comes_out_has_the_shapes_of_the_formulas(result):
    shapes = {f"{kind}: {shows}": (before, after) for kind, shows, before, after, _ in result.tables[0].rows}
    assert shapes["Conv1D: edge, the next sample minus this one"] == ("60 × 1", "59 × 1")
    assert shapes["Conv2D: slopes in y and in x, every second row"] == ("24 × 24 × 1", "12 × 20 × 2")
    assert shapes["Conv2DTranspose: two random filters, 2 × 3 places apart"] == ("8 × 8 × 1", "17 × 24 × 2")
    assert shapes["MaxPooling3D: hottest of 2 × 3 × 3 cells"] == ("7 × 8 × 8 × 1", "4 × 3 × 3 × 1")
    assert shapes["Flatten: row by row, channels together"] == ("8 × 8 × 2", "128")


def test_padding_is_shown_for_odd_even_and_non_square_kernels(result):
    rows = {row[:2]: row[2:] for row in result.tables[1].rows}
    assert rows["3", "1"][:5] == ("8", "10", "1 + 1", "12", "10")
    assert rows["4", "1"][:5] == ("7", "10", "1 + 2", "13", "10")
    assert rows["3", "2"][:5] == ("4", "5", "0 + 1", "21", "20")
    assert rows["2", "3"][:5] == ("3", "4", "0 + 1", "30", "30")
    assert rows["2 × 5", "1 × 1"][:5] == ("9 × 5", "10 × 9", "0 + 1, 2 + 2", "11 × 13", "10 × 9")


def test_channels_first_and_last_are_compared_for_every_layer_that_knows_both(result):
    rows = result.tables[2].rows
    without = {"UpSampling1D", "LSTM", "GRU", "SimpleRNN", "TimeDistributed"}  # these have no data_format
    assert {row[0] for row in rows} == LECTURE - without
    assert result.metrics[1].value == max(row[-1] for row in rows)


def test_a_layer_that_cannot_have_channels_first_here_goes_between_permutations_and_says_so(monkeypatch, stops):
    real = keras.layers.Conv2D.call

    def refuse(self, inputs):
        if self.data_format == "channels_first":
            raise tf.errors.UnimplementedError(None, None, "only NHWC")
        return real(self, inputs)

    monkeypatch.setattr(keras.layers.Conv2D, "call", refuse)
    chosen = [stop for stop in stops.values() if stop.kind in ("Conv2D", "MaxPooling2D")]
    rows = {row[0]: row[1:] for row in layers_tour.channels_first_rows(np.random.default_rng(0), chosen)}
    assert "Permute" in rows["Conv2D"][0]
    assert rows["MaxPooling2D"][0] == "by itself"
    assert all(row[1] < 1e-6 for row in rows.values())


def test_a_wrong_weight_or_shape_would_be_seen(stops):
    stop = stops["Conv1D: matched filter, a peak for each pulse"]
    layer = stop.layer
    layer.build(stop.values.shape)
    layer.set_weights(stop.weights)
    found = layer(stop.values)
    kernel, bias = stop.weights
    assert layers_tour.difference(found, stop.reference(stop.values, [kernel, bias])) < 1e-6
    assert layers_tour.difference(found, stop.reference(stop.values, [kernel[::-1], bias])) > 0.1
    assert layers_tour.difference(found, stop.reference(stop.values, [kernel, bias + 0.01])) > 0.009
    assert layers_tour.difference(found, np.asarray(found)[:, 1:]) == np.inf


def test_the_matched_filter_gives_the_charge_in_the_middle_of_each_pulse(stops):
    charges, waveforms = pulses(np.random.default_rng(0))
    stop = stops["Conv1D: matched filter, a peak for each pulse"]
    filtered = stop.reference(waveforms, stop.weights)[..., 0]
    for event, filtered_event in zip(charges[..., 0], filtered, strict=True):
        begins = np.flatnonzero(event)
        np.testing.assert_allclose(filtered_event[begins + 4], event[begins], atol=0.2)  # noise of 0.05, others' tails
        between = np.setdiff1d(np.arange(60), (begins[:, None] + np.arange(-4, 16)).ravel())
        assert np.abs(filtered_event[between]).max() < 0.2


def test_the_ring_template_peaks_at_a_rings_centre(stops):
    y, x = np.mgrid[:24, :24]
    image = (np.abs(np.hypot(y - 9, x - 14) - 4) < 0.5).astype(float)[None, ..., None]
    stop = stops["Conv2D: ring template, a peak for each centre"]
    answer = stop.reference(image, stop.weights)[0, ..., 0]
    assert np.unravel_index(answer.argmax(), answer.shape) == (9, 14)
    flat = stop.reference(np.ones((1, 24, 24, 1)), stop.weights)[0, 8:16, 8:16]
    assert np.abs(flat).max() < 1e-6  # a flat background is not seen


def test_the_trail_fades_by_four_fifths_a_frame(stops):
    stop = stops["ConvLSTM2D: a fading trail"]
    flash = np.zeros((1, 5, 12, 12, 1))
    flash[0, 0, 6, 6] = 1
    kernel, recurrent, bias = stop.weights
    clean = [np.where(np.abs(kernel) > 0.5, 1.0, 0.0), np.zeros_like(recurrent), bias]
    cell = np.arctanh(stop.reference(flash, clean)[0, :, 6, 6, 0] / (1 / (1 + np.exp(-4.0))))
    np.testing.assert_allclose(cell[1:] / cell[:-1], 1 / (1 + np.exp(-1.4)), atol=1e-6)


def test_signals_are_what_their_names_say():
    rng = np.random.default_rng(1)
    assert pulse(12).max() == 1.0
    assert int(pulse(12).argmax()) == 2
    assert rings(rng).shape == (2, 24, 24, 1)
    depths = showers(rng, n_events=50)[..., 0].sum(axis=(2, 3))
    assert (depths.argmax(axis=1) == 2).all()  # of t² exp(−t) at 1.5 and 2.5, the latter is larger by 2 %
    frames = moving_clusters(rng)[..., 0]
    brightest = [np.unravel_index(frame.argmax(), frame.shape) for frame in frames[0]]
    assert (np.diff(brightest, axis=0) >= 0).all()
    assert brightest[0] != brightest[-1]


def test_the_model_has_an_input_and_an_output_for_each_example_and_can_be_taken_away(result, tmp_path):
    result.model.save(tmp_path / "tour.keras")
    model = keras.models.load_model(tmp_path / "tour.keras")
    assert set(model.input) == set(model.output) == {f"{row[0]}: {row[1]}" for row in result.tables[0].rows}
    assert set(result.figures) == {"convolutions", "coarser and finer", "recurrent", "padding"}
    assert result.seconds == 0
