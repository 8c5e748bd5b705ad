"""Calibrated taggers: the temperature sits in the weights, so everything that scores gives the same."""

import numpy as np
import pytest

from hepnn import Tagger
from hepnn.calibration import at_temperature, fit_temperature
from hepnn.errors import TaggerError
from hepnn.runtime import Session
from tests.conftest import make_jets

SETTINGS = {"model_options": {"encoder": (16,), "head_units": (16,)}, "epochs": 8, "batch_size": 32, "n_buckets": 2}


@pytest.fixture(scope="module")
def jets():
    return make_jets(500, seed=8)


@pytest.fixture(scope="module")
def pair(jets):
    held_out = make_jets(300, seed=9)
    return [Tagger("deepsets", **SETTINGS, calibrate=on).fit(jets, validation=held_out) for on in (False, True)]


def test_scores_are_those_at_the_temperature_in_keras_onnx_and_a_file(pair, jets, tmp_path):
    plain, calibrated = pair
    assert plain.temperature_ == 1.0
    assert calibrated.temperature_ != 1.0
    expected = at_temperature(plain.predict_proba(jets), calibrated.temperature_)
    np.testing.assert_allclose(calibrated.predict_proba(jets), expected, atol=2e-6)
    tensors = calibrated.tensors(jets)
    np.testing.assert_allclose(calibrated.model_.predict(tensors.pad(), verbose=0), expected, atol=2e-6)
    np.testing.assert_allclose(Session(calibrated.onnx_).scores(tensors), expected, atol=2e-6)
    loaded = Tagger.load(calibrated.save(tmp_path / "tagger"))
    assert loaded.temperature_ == calibrated.temperature_
    assert loaded.calibrate
    np.testing.assert_array_equal(loaded.predict_proba(jets), calibrated.predict_proba(jets))


def test_the_validation_jets_want_no_further_temperature(pair):
    held_out = make_jets(300, seed=9)
    _, calibrated = pair
    assert 0.1 < calibrated.temperature_ < 10  # within the range that is searched
    labels, scores = held_out.label.to_numpy(), calibrated.predict_proba(held_out)
    assert fit_temperature(labels, scores, classes=("gluon", "quark")) == pytest.approx(1.0, abs=1e-3)


def open_ended(inputs, n_classes):
    import keras

    from hepnn.models.deepsets import deepsets

    made = deepsets(inputs, n_classes, encoder=(4,), head_units=())
    return keras.Model(made.inputs, keras.layers.Activation("linear")(made.output))


def test_a_network_without_a_softmax_at_its_end_is_refused(jets):
    with pytest.raises(TaggerError, match=r"asked to calibrate the network .*takes a dense layer with softmax"):
        Tagger(open_ended, epochs=1, calibrate=True).fit(jets)
