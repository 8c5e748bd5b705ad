"""Films of two showers: the data, the networks, and a quick run."""

import awkward as ak
import keras
import numpy as np
import pytest

from hepnn.tasks import TASKS
from hepnn.tasks.calo_time import ENERGY, LATER, TIME_EDGES, draw, draw_films, in_time, masks, summed
from hepnn.tasks.resolution import half_width


@pytest.fixture(scope="module")
def result():
    return TASKS["calo-time"].run(seed=1, quick=True)


@pytest.fixture(scope="module")
def films():
    return draw_films(1_000, np.random.default_rng(3))


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_what_was_measured_is_what_the_models_do_on_films_they_have_never_seen(result, films):
    for metric, fit in zip(result.metrics, result.fits.values(), strict=True):
        ratios = np.exp(fit.model.predict(films.frames, verbose=0)[:, 0]) / films.energy
        assert abs(half_width(ratios) - metric.value) < 5 * np.sqrt(2) * metric.uncertainty


def test_films_are_of_two_electrons_one_after_the_other(films):
    assert films.frames.shape == (1_000, len(TIME_EDGES) - 1, 8, 8, 3)
    assert ENERGY[0] <= films.energy.min() < 12 < 42 < films.energy.max() <= ENERGY[1]
    assert LATER[0] <= films.delay.min() < 1.2 < 6.8 < films.delay.max() < LATER[1]
    # energy comes in two pulses as far apart as the delay: the spread of the energy over time grows with it
    of_time = films.frames.sum(axis=(2, 3, 4))
    times = np.array(TIME_EDGES[:-1]) + 1.0
    middle = of_time @ times / of_time.sum(axis=1)
    spread = np.sqrt((of_time * (times - middle[:, None]) ** 2).sum(axis=1) / of_time.sum(axis=1))
    assert np.corrcoef(spread, films.delay)[0, 1] > 0.6


def test_what_comes_first_has_the_energy_that_is_asked_for(films):
    late = films.delay > 5
    frames = films.frames[late].sum(axis=(2, 3, 4))
    begun = np.argmax(frames > 4, axis=1)  # GeV: more than cells of few GeV have that come with a wrong time
    early = np.array([row[: start + 2].sum() for row, start in zip(frames, begun, strict=True)])
    assert np.corrcoef(early, films.energy[late])[0, 1] > 0.8


def test_the_network_without_time_does_not_see_the_order_and_the_other_does(films):
    backwards, rng = films.frames[:50, ::-1], np.random.default_rng(0)
    for build, sees in ((summed, False), (in_time, True)):
        keras.utils.set_random_seed(0)
        model = build()
        read_off = model.get_layer("read_off")  # it starts at 0
        read_off.set_weights([rng.normal(size=weight.shape) for weight in read_off.get_weights()])
        forward, turned = (model.predict(each, verbose=0) for each in (films.frames[:50], backwards))
        assert (np.abs(forward - turned).max() > 1e-3) == sees


def test_untrained_networks_count_a_half_of_everything(films):
    for build in (summed, in_time):
        model = build()
        np.testing.assert_allclose(masks(model, films.frames[:20]), 0.5)
        found = np.exp(model.predict(films.frames[:20], verbose=0)[:, 0])
        np.testing.assert_allclose(found, films.frames[:20].sum(axis=(1, 2, 3, 4)) / 2, rtol=1e-4)


def test_what_a_network_says_is_the_calibrated_energy_that_its_mask_counts(result, films):
    frames = films.frames[:20]
    mask = masks(result.model, frames)
    assert mask.shape == frames.shape[:-1]
    slope, shift = (float(weight.item()) for weight in result.model.get_layer("log_energy").get_weights())
    counted = np.log((frames * mask[..., None]).sum(axis=(1, 2, 3, 4)))
    np.testing.assert_allclose(result.model.predict(frames, verbose=0)[:, 0], slope * counted + shift, rtol=1e-4)


def test_training_films_carry_the_energy_of_the_first():
    frames, logs = draw(20, np.random.default_rng(4))
    films = draw_films(20, np.random.default_rng(4))
    np.testing.assert_array_equal(frames, films.frames)
    np.testing.assert_allclose(np.exp(logs[:, 0]), films.energy, rtol=1e-6)
    assert not ak.any(np.isnan(logs))


def test_the_table_begins_with_what_was_measured_and_goes_by_delay(result):
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["any", *(f"{low} to {low + 1}" for low in range(1, 7))]
    for measured, shown in zip(result.metrics, table.rows[0][1:], strict=False):
        assert shown.value == measured.value


def test_pictures_show_a_film_and_what_the_networks_say(result):
    assert set(result.figures) == {"a film", "resolution and delay", "energies", "learning"}
    titles = [axes.get_title() for axes in result.figures["a film"].axes]
    assert titles[:2] == ["-2 to 0 ns", "0 to 2 ns"]
    (axes,) = result.figures["resolution and delay"].axes
    assert "[ns]" in axes.get_xlabel()
    assert len(axes.containers) == 3
    for axes in result.figures["energies"].axes:
        assert axes.get_xlabel().endswith("[GeV]")
