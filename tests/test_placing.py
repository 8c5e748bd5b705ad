"""Training on several devices and with fewer bits gives taggers like any other."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from hepnn import Tagger
from hepnn.errors import InputError
from tests.conftest import make_jets

PROGRAM = """
import json
import tensorflow as tf

(processor,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

from hepnn import Tagger
from tests.conftest import make_jets

jets = make_jets(300)
small = {"encoder": (8,), "units": (8,), "head_units": (8,), "dropout": 0.0}
settings = {"model_options": small, "epochs": 2, "batch_size": 32, "n_buckets": 3, "seed": 3, "augment": ()}
found = {}
for name, distribute in {"one": None, "two": "mirrored"}.items():
    tagger = Tagger(distribute=distribute, **settings).fit(jets)
    found[name] = [tagger.training_.history["loss"], tagger.predict_proba(jets)[:, 1].tolist()]
    found[f"{name} auc"] = max(tagger.training_.history["val_auc"])
found["devices"] = tf.distribute.MirroredStrategy().num_replicas_in_sync
print(json.dumps(found))
"""
"""In a process of its own, since TensorFlow cuts the processor in two only before it first computes."""


def test_two_devices_learn_what_one_learns():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 2
    (losses, scores), (losses_of_two, scores_of_two) = found["one"], found["two"]
    np.testing.assert_allclose(losses_of_two, losses, rtol=0.02)  # sums in another order
    np.testing.assert_allclose(scores_of_two, scores, atol=0.02)
    assert found["two auc"] == pytest.approx(found["one auc"], abs=0.01)


def test_fewer_bits_in_training_leave_a_tagger_of_float32(jets, trained):
    before = keras.config.dtype_policy()
    settings = {**trained.get_params(deep=False), "mixed_precision": True}
    tagger = Tagger(**settings).fit(jets)
    assert keras.config.dtype_policy() == before
    assert {value.dtype for value in tagger.weights_.values()} == {np.dtype(np.float32)}
    assert {layer.compute_dtype for layer in tagger.model_.layers} == {"float32"}
    assert any((tagger.weights_[path] != value).any() for path, value in trained.weights_.items())
    expected = tagger.model_.predict(tagger.tensors(jets).pad(), verbose=0)
    np.testing.assert_allclose(tagger.predict_proba(jets), expected, atol=1e-5)
    assert max(tagger.training_.history["val_auc"]) > 0.8


def test_unknown_ways_to_distribute_are_refused():
    with pytest.raises(InputError, match="asked for distribute='many'; known: None, 'mirrored', 'multi-worker'"):
        Tagger(distribute="many").fit(make_jets(50))
