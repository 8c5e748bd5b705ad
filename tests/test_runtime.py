"""Scoring by ONNX Runtime: the same as Keras whatever the batch, nothing else than the tagger's own model, no TensorFlow."""

import hashlib
import json
import pickle
import subprocess
import sys
import warnings

import keras
import numpy as np
import onnx
import pytest
from onnx import helper

from hepnn import Tagger, runtime
from hepnn.errors import HepnnWarning, InputError, OutputError, TaggerError
from hepnn.features import resolve_features
from hepnn.models import build_model
from hepnn.models.inputs import cloud_inputs
from hepnn.onnx_export import PREPROCESS, TOLERANCE, export, write_onnx
from hepnn.runtime import Session
from hepnn.scaling import fixed_scaling
from hepnn.tensors import TensorSpec, batches_by_length
from hepnn.threads import default_threads
from hepnn.translation import TRANSLATORS, translate
from hepnn.translation.pointwise import dense
from tests.conftest import make_jets, resealed
from tests.readers.test_reading import columns, write


@pytest.fixture(scope="module")
def tensors(trained):
    return trained.tensors(make_jets(300, seed=5))


@pytest.fixture(scope="module")
def expected(trained, tensors):
    """What Keras gives."""
    from hepnn import training

    return training.predict(trained.model_, tensors)


@pytest.fixture
def folder(trained, tmp_path):
    return trained.save(tmp_path / "tagger")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return str(write(tmp_path_factory.mktemp("files") / "jets.root", columns(150, seed=1)))


def python(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("slots", [1, 100, 10**6])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_and_threads_change_nothing(trained, tensors, expected, monkeypatch, slots, threads):
    monkeypatch.setattr(runtime, "_SLOTS", slots)
    monkeypatch.setattr(runtime, "_LEAST_IMAGES", 1)
    scores = Session(trained.onnx_, threads=threads).scores(tensors)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE)


def test_the_order_of_the_jets_changes_nothing(trained, tensors, expected):
    order = np.random.default_rng(0).permutation(len(tensors))
    np.testing.assert_allclose(trained.scores(tensors[order]), expected[order], rtol=0, atol=TOLERANCE)


def test_padding_and_what_is_in_it_change_nothing(trained, tensors, expected):
    session = Session(trained.onnx_)
    for length in (40, 77):
        inputs = tensors.pad(length=length)
        for junk in (0, 1e6, np.nan, -np.inf):
            inputs["particles"][~inputs["particles_mask"]] = junk
            np.testing.assert_allclose(session.run(inputs), expected, rtol=0, atol=TOLERANCE)


def test_each_jet_is_in_one_batch_that_is_not_too_large():
    lengths = np.random.default_rng(0).integers(0, 50, 500)
    batches = list(batches_by_length(lengths, slots=200))
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert all(len(rows) * max(lengths[rows].max(), 1) <= 200 for rows in batches)
    longest = [int(lengths[rows].max()) for rows in batches]
    assert longest == sorted(longest, reverse=True)


def test_images_make_smaller_batches_than_their_one_slot_says():
    given = keras.Input((8, 8, 1), name="image")
    output = keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(given))
    session = Session(translate(keras.Model({"image": given}, output)).SerializeToString())

    class Images:
        """100 images."""

        lengths = np.ones(100, np.int64)
        most = 0

        def __len__(self):
            return 100

        def pad(self, rows):
            self.most = max(self.most, len(rows))
            return {"image": np.zeros((len(rows), 8, 8, 1), np.float32)}

    images = Images()
    assert session.scores(images).shape == (100, 2)
    assert images.most == 2048 // 64


def test_fitted_and_loaded_taggers_give_the_same_and_what_keras_gives(trained, tensors, expected, folder):
    loaded = Tagger.load(folder)
    np.testing.assert_array_equal(loaded.scores(tensors), trained.scores(tensors))
    np.testing.assert_allclose(loaded.scores(tensors), expected, rtol=0, atol=TOLERANCE)
    assert loaded.model_.count_params() == trained.model_.count_params()


def test_a_pickled_tagger_opens_its_session_again(trained, tensors):
    trained.scores(tensors)
    again = pickle.loads(pickle.dumps(trained))  # our own bytes
    assert not again.needs_keras_
    np.testing.assert_array_equal(again.scores(tensors), trained.scores(tensors))


def test_fitting_again_makes_another_model(jets):
    tagger = Tagger("deepsets", model_options={"encoder": (6,), "head_units": ()}, epochs=1).fit(jets)
    before = tagger.predict_proba(jets[:5])
    tagger.set_params(seed=7).fit(jets)
    assert np.abs(tagger.predict_proba(jets[:5]) - before).max() > 1e-3


def test_an_error_in_a_thread_is_raised_and_ends_the_scoring(trained, tensors, monkeypatch):
    class Spoiled:
        """Tensors that cannot be padded."""

        lengths = tensors.lengths
        n_tried = 0

        def __len__(self):
            return len(tensors)

        def pad(self, rows):
            self.n_tried += 1
            raise InputError("these are spoiled")

    monkeypatch.setattr(runtime, "_SLOTS", 50)
    spoiled = Spoiled()
    with pytest.raises(InputError, match="these are spoiled"):
        Session(trained.onnx_, threads=2).scores(spoiled)
    assert spoiled.n_tried < len(tensors)


def test_inputs_of_another_name_shape_or_type_are_refused(trained, tensors):
    session, inputs = Session(trained.onnx_), tensors.pad()
    with pytest.raises(TaggerError, match=r"takes the input 'particles'; found tracks, particles_mask"):
        session.run({"tracks": inputs["particles"], "particles_mask": inputs["particles_mask"]})
    with pytest.raises(
        TaggerError, match=r"takes particles float32 \(jet, any, \d+\).*; found particles float32 \(300"
    ):
        session.run({**inputs, "particles": inputs["particles"][..., 1:]})
    with pytest.raises(TaggerError, match=r"found particles float32 .*, particles_mask int64"):
        session.run({**inputs, "particles_mask": inputs["particles_mask"].astype(np.int64)})


def test_a_model_of_another_tagger_is_refused(trained, tensors):
    specs = {"particles": TensorSpec((None, 1), fixed_scaling(resolve_features(["log_pt"])))}
    mixed = pickle.loads(pickle.dumps(trained))  # our own bytes
    mixed.onnx_ = translate(build_model("deepsets", specs, n_classes=2)).SerializeToString()
    with pytest.raises(TaggerError, match=r"takes particles float32 \(jet, any, 1\).* model of another tagger"):
        mixed.scores(tensors)
    model = onnx.load_from_string(trained.onnx_)
    next(each for each in model.metadata_props if each.key == "checksum").value = '"0123"'
    mixed = pickle.loads(pickle.dumps(trained))
    mixed.onnx_ = model.SerializeToString()
    with pytest.raises(TaggerError, match=r"made from weights with the checksum 0123…"):
        mixed.scores(tensors)


def wrong_by_a_little(graph, layer, values):
    return graph.add("Mul", dense(graph, layer, values), 1.001)


def broken(graph, layer, values):
    return graph.add("Gemm", values, values)


@pytest.mark.parametrize(
    ("translation", "message"),
    [
        (wrong_by_a_little, r"on a batch of full jets, the output of ONNX differs from Keras' by [\d.e-]+"),
        (broken, r"ONNX Runtime .* refuses it|found particles float32"),
    ],
)
def test_a_proof_that_fails_leaves_no_model_and_says_why(
    trained, tensors, expected, tmp_path, monkeypatch, translation, message
):
    monkeypatch.setitem(TRANSLATORS, "Dense", translation)
    with pytest.raises(TaggerError, match=message):
        export(trained)
    tagger = pickle.loads(pickle.dumps(trained))  # our own bytes
    del tagger._onnx
    with pytest.warns(HepnnWarning, match=message):
        folder = tagger.save(tmp_path / "tagger")
    assert sorted(path.name for path in folder.iterdir()) == ["tagger.json", "weights.npz"]
    with pytest.raises(TaggerError, match=message):
        write_onnx(tagger, tmp_path / "tagger.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["tagger"]
    with pytest.warns(HepnnWarning, match=r"scored by Keras, which takes several times as long"):
        np.testing.assert_allclose(Tagger.load(folder).scores(tensors), expected, rtol=0, atol=1e-6)


def test_metadata_say_what_goes_in_and_comes_out(trained, folder):
    model = onnx.load(folder / "model.onnx")
    about = {each.key: json.loads(each.value) for each in model.metadata_props}
    names = [feature.name for feature in trained.representation_.collections["particles"].features]
    assert about["features"] == {"particles": names}
    assert about["units"]["particles"][names.index("log_pt")] == "ln GeV"
    assert about["order"] == {"particles": "falling pt"}
    assert about["lengths"] == {"particles": 128}
    assert about["classes"] == ["gluon", "quark"]
    assert about["version"]
    assert len(about["checksum"]) == 64
    assert [each.name for each in model.graph.input] == ["particles", "particles_mask"]
    assert {
        name: json.loads(text) for name, text in Session((folder / "model.onnx").read_bytes()).metadata.items()
    } == about


def test_an_older_folder_without_a_model_is_translated_when_it_is_scored(folder, tensors, expected):
    description = json.loads((folder / "tagger.json").read_text())
    del description["checksums"]["model.onnx"], description["why_keras"], description["checksum"]
    description["format"] = 2
    (folder / "tagger.json").write_text(json.dumps(description))
    (folder / "model.onnx").unlink()
    loaded = Tagger.load(folder)
    assert loaded.needs_keras_
    np.testing.assert_allclose(loaded.scores(tensors), expected, rtol=0, atol=TOLERANCE)
    assert not loaded.needs_keras_


def replaced(path, change):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def external(model):
    """A weight is said to be in a file elsewhere."""
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


def unknown(model):
    model.graph.node.append(helper.make_node("Trojan", ["particles"], ["horse"], domain="elsewhere"))


@pytest.mark.parametrize("change", [external, unknown])
def test_a_replaced_model_cannot_be_loaded(trained, folder, tensors, change):
    path = folder / "model.onnx"
    replaced(path, change)
    with pytest.raises(TaggerError, match=r"model.onnx has the checksum .* damaged or was changed"):
        Tagger.load(folder)
    # nor where the checksum was replaced with it
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    resealed(folder / "tagger.json", lambda values: values["checksums"].update({"model.onnx": checksum}))
    with pytest.raises(TaggerError, match=r"ONNX Runtime .* refuses it"):
        Tagger.load(folder).scores(tensors)


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_flipped_bit_in_the_model_is_refused_by_name(folder, at):
    data = bytearray((folder / "model.onnx").read_bytes())
    data[at] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(TaggerError, match=r"model.onnx has the checksum .* damaged or was changed"):
        Tagger.load(folder)


def test_a_model_that_is_missing_is_refused_by_name(folder):
    (folder / "model.onnx").unlink()
    with pytest.raises(TaggerError, match=r"model.onnx cannot be read: .*No such file"):
        Tagger.load(folder)


class Doubling(keras.layers.Layer):
    """A layer of one's own, which the translator does not know."""

    def call(self, values):
        return 2 * values


def with_own_layer(inputs, n_classes):
    from hepnn.layers import MaskedPooling

    tensors, sequences, _ = cloud_inputs(inputs)
    values, mask = sequences["particles"]
    pooled = Doubling(name="doubling")(MaskedPooling("mean", name="mean")(values, mask))
    return keras.Model(tensors, keras.layers.Dense(n_classes, activation="softmax", name="out")(pooled))


def test_a_network_with_a_layer_of_ones_own_is_scored_by_keras_and_says_so(jets, file, tmp_path):
    tagger = Tagger(with_own_layer, epochs=1, schema="hepnn", features=["kinematics"]).fit(jets)
    says = r"scored by Keras.*the layer 'doubling' is a .*Doubling, which has no translation"
    with pytest.warns(HepnnWarning, match=says):
        expected = tagger.predict_proba(jets)
    with pytest.warns(HepnnWarning, match=says):
        folder = tagger.save(tmp_path / "tagger")
    assert not (folder / "model.onnx").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = Tagger.load(folder, custom=[with_own_layer])
    with pytest.warns(HepnnWarning, match=says):
        np.testing.assert_allclose(loaded.predict_proba(jets), expected, atol=1e-6)
    done = python(
        "from hepnn.cli import main; import sys\n"
        f"sys.argv = ['hepnn', 'tag', {file!r}, '--tagger', {str(folder)!r}, '-o', {str(tmp_path / 'scores.root')!r}, "
        "'--custom', 'tests.test_runtime:with_own_layer']\nmain()"
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning: ") and "ONNX" in line]
    assert len(lines) == 1
    assert "the layer 'doubling' is a tests.test_runtime.Doubling, which has no translation to ONNX." in lines[0]


@pytest.mark.parametrize("command", ["tag", "evaluate", "export"])
def test_applying_a_tagger_loads_no_package_that_only_training_needs(trained, file, folder, tmp_path, command):
    unwanted = ["tensorflow", "keras", "onnx", *(["sklearn"] if command == "tag" else [])]
    arguments = {
        "tag": [file, "--tagger", str(folder), "-o", str(tmp_path / "scores.root"), "--schema", "hepnn"],
        "evaluate": [file, "--tagger", str(folder), "--schema", "hepnn"],
        "export": [str(folder), "--onnx", str(tmp_path / "tagger.onnx")],
    }[command]
    done = python(
        "import sys\nfrom hepnn.cli import main\n"
        f"sys.argv = ['hepnn', {command!r}, *{arguments!r}]\n"
        "try: main()\n"
        f"finally: print([name for name in {unwanted} if name in sys.modules])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("float_masks", [False, True])
def test_an_exported_model_can_be_fed_by_its_description_alone(trained, tensors, expected, tmp_path, float_masks):
    (tmp_path / "out").mkdir()
    path = write_onnx(trained, tmp_path / "out" / "tagger.onnx", float_masks=float_masks)
    about = json.loads(path.with_name(PREPROCESS).read_text())
    assert about["input_names"] == ["particles", "particles_mask"]
    assert about["output_names"] == ["probabilities"]
    assert about["classes"] == ["gluon", "quark"]
    part = about["particles"]
    assert part["shape"] == [-1, -1, len(part["var_names"])]
    assert set(part["var_infos"]) == set(part["var_names"]) == set(part["scaling_in_graph"])
    assert all(info["median"] == 0 and info["norm_factor"] == 1 for info in part["var_infos"].values())
    scaling = trained.inputs_["particles"].scaling
    assert part["scaling_in_graph"]["log_pt"] == {name: getattr(scaling, name)[0] for name in scaling._fields}
    assert (part["units"]["log_pt"], part["order"]) == ("ln GeV", "falling pt")
    assert about["particles_mask"]["dtype"] == ("float32" if float_masks else "bool")
    # as a program in C++ does: a jet at a time, each variable taken by its name, cut and padded to var_length
    session = Session(path.read_bytes())
    names = [feature.name for feature in trained.representation_.collections["particles"].features]
    for jet in range(5):
        raw = tensors.pad(np.array([jet]))
        slots = part["var_length"]
        values = np.zeros((1, slots, len(names)), np.float32)
        mask = np.zeros((1, slots), about["particles_mask"]["dtype"])
        n_particles = int(raw["particles_mask"].sum())
        for place, name in enumerate(part["var_names"]):
            values[0, :n_particles, place] = raw["particles"][0, :n_particles, names.index(name)]
        mask[0, :n_particles] = 1
        found = session.run({"particles": values, "particles_mask": mask})
        np.testing.assert_allclose(found[0], expected[jet], rtol=0, atol=TOLERANCE)


def test_exporting_does_not_replace_what_is_there(trained, tmp_path):
    write_onnx(trained, tmp_path / "tagger.onnx")
    with pytest.raises(OutputError, match="exists already"):
        write_onnx(trained, tmp_path / "tagger.onnx")
    (tmp_path / "preprocess.json").write_text("{}")
    with pytest.raises(OutputError, match=r"preprocess.json, which exists already"):
        write_onnx(trained, tmp_path / "other.onnx")
    write_onnx(trained, tmp_path / "tagger.onnx", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocess.json", "tagger.onnx"]


def test_what_a_model_is_to_be_fed_is_not_replaced_by_that_of_another(trained, tmp_path):
    write_onnx(trained, tmp_path / "tagger.onnx")
    before = (tmp_path / "preprocess.json").read_text()
    with pytest.raises(OutputError, match=r"preprocess.json is about tagger.onnx.* a folder of its own"):
        write_onnx(trained, tmp_path / "other.onnx", float_masks=True, overwrite=True)
    assert (tmp_path / "preprocess.json").read_text() == before
    assert not (tmp_path / "other.onnx").exists()
    (tmp_path / "tagger.onnx").unlink()
    write_onnx(trained, tmp_path / "other.onnx", overwrite=True)


def test_threads_are_those_that_were_asked_for_or_that_may_be_used(monkeypatch):
    for name in ("HEPNN_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert default_threads() >= 1
    for text in ("3", "3,2", " 3 "):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert default_threads() == 3
    monkeypatch.setenv("HEPNN_THREADS", "1")
    assert default_threads() == 1
    monkeypatch.setenv("HEPNN_THREADS", "many")
    with pytest.raises(InputError, match="asked for HEPNN_THREADS=many; it takes a whole number from 1 on"):
        default_threads()
    with pytest.raises(InputError, match="asked for 0 threads"):
        Session(b"", threads=0)


def test_what_is_no_model_is_refused():
    with pytest.raises(TaggerError, match=r"ONNX model of 4 bytes; it ends early"):
        Session(b"junk")
