"""Attacks in files of Keras, and where a training begins or goes on: they need TensorFlow, so they have their own process.

hepnn loads no model from a file of Keras. What it writes itself (``hepnn task run -o``) is for ``keras.saving``, which
refuses code in a file unless it is told that the file is safe; the release that hepnn asks for has to be one that does.
"""

import base64
import json
import marshal
import pickle
import shutil

import numpy as np

from tests.attacks.guard import MARKER, Case
from tests.attacks.sources import Bomb, archive
from tests.attacks.taggers import at, object_array
from tests.conftest import resealed


def lambda_layer():
    code = compile(f"__import__('{MARKER}')", "<hostile>", "eval")
    function = {"code": _base64(marshal.dumps(code)), "defaults": None, "closure": None}
    config = {"name": "l", "function": {"class_name": "__lambda__", "config": function}}
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}


def _base64(content):
    return base64.b64encode(content).decode()


def saved_model_layer():
    config = {"name": "t", "filepath": f"/tmp/{MARKER}", "call_endpoint": "serve"}
    return {"module": "keras.layers", "class_name": "TFSMLayer", "config": config, "registered_name": None}


def from_a_module():
    return {"module": MARKER, "class_name": "Layer", "config": {}, "registered_name": "Layer"}


def from_the_system():
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    config = {"name": "a", "activation": function}
    return {"module": "keras.layers", "class_name": "Activation", "config": config, "registered_name": None}


def file_with(layer, weights=b""):
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "i"}}
    config = {"name": "m", "layers": [{**first, "registered_name": None}, layer]}
    model = {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": "Sequential"}

    def write(path):
        members = {"config.json": json.dumps(model), "metadata.json": json.dumps({"keras_version": "3.15.1"})}
        archive(path, {**members, "model.weights.h5": weights})

    return write


def opened_by_keras(name, write):
    """A file that somebody opens as the user of Keras that they are, with what Keras does unless told otherwise."""

    def make(_, own):
        import keras

        from hepnn.errors import InputError

        path = own / "model.keras"
        write(path)

        def load():
            try:
                keras.saving.load_model(path)(np.zeros((1, 2), np.float32))
            except (TypeError, ValueError, OSError, ImportError) as error:
                raise InputError(" ".join(str(error).split())[:300]) from error

        return load

    return Case(f"keras-{name}", make)


def started(name, write):
    """A training that is to start from a file of Keras."""

    def make(given, own):
        path = own / name
        write(path)
        return ["train", given / "jets.parquet", "-o", own / "out" / "tagger", "--epochs", "1", "--start-from", path]

    return Case(f"start-from-{name}", make, says="hepnn loads no models of Keras")


def started_from_folder(given, own):
    shutil.copytree(given / "tagger", own / "tagger")
    resealed(own / "tagger" / "tagger.json", at("model", "name", value=f"{MARKER}:f"))
    return ["train", given / "jets.parquet", "-o", own / "out" / "t", "--epochs", "1", "--start-from", own / "tagger"]


def resumed(name, content):
    """A training that is to go on from a state that is none."""

    def make(given, own):
        (own / "out" / ".tagger.checkpoint").write_bytes(content() if callable(content) else content)
        options = ("--epochs", "1", "--option", "units=4", "--option", "encoder=4", "--model", "deepsets")
        return ["train", given / "jets.parquet", "-o", own / "out" / "tagger", "--resume", *options[:2], *options[6:]]

    return Case(f"resume-{name}", make, says="cannot be read")


def legacy(path):
    import h5py

    with h5py.File(path, "w") as file:
        config = {"name": "m", "layers": [lambda_layer()]}
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        file.create_group("model_weights")


CASES = [
    opened_by_keras("lambda", file_with(lambda_layer())),
    opened_by_keras("saved-model", file_with(saved_model_layer())),
    opened_by_keras("module", file_with(from_a_module())),
    opened_by_keras("system", file_with(from_the_system())),
    started("lambda.keras", file_with(lambda_layer())),
    started("legacy.h5", legacy),
    started("pickle.pkl", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    Case("start-from-folder", started_from_folder, says="Hand over its function"),
    resumed("pickle", lambda: pickle.dumps(Bomb())),
    resumed("pickled", object_array),
    resumed("nothing", b""),
]


def prepare():
    """Imports what training takes, before anybody watches."""
    import tensorflow as tf

    import hepnn.training  # noqa: F401

    tf.transpose(tf.zeros((2, 2)))
