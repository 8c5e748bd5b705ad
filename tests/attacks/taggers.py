"""Attacks in the folders of taggers, and in what else can be named as one."""

import hashlib
import io
import json
import os
import pickle
import shutil
import warnings
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.attacks.guard import MARKER, Case
from tests.attacks.sources import ESCAPES, SCRIPT, Bomb, archive, claims, keras_file, legacy_keras
from tests.conftest import resealed

N_MUTATIONS = 20
"""Descriptions with one value replaced."""

VALUES = (
    None,
    True,
    -1,
    10**30,
    float("nan"),
    "",
    "x" * 5000,
    f"{MARKER}:f",
    [],
    [[]],
    [None],
    {},
    {"a": 1},
    "../../x",
)
"""What a value is replaced with."""


def make_given(given, tagger, jets):
    """Writes what attacks are made from."""
    import awkward as ak

    import hepnn
    from hepnn.tagging import tag
    from hepnn.working_points import find_working_point, write_working_point

    tagger.save(given / "tagger")
    ak.to_parquet(jets, given / "jets.parquet", extensionarray=False)
    hepnn.BoostedTrees(["n_particles", "girth"], max_iter=3).fit(jets).save(given / "trees.onnx")
    hepnn.convert(given / "jets.parquet", given / "shards")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in (1, 2):
            tag(given / "jets.parquet", tagger, given / "scores.root", part=(part, 2), step=60)
    point = find_working_point(
        jets.label, tagger.predict_proba(jets), classes=("gluon", "quark"), signal="quark", efficiency=0.5
    )
    write_working_point(point, given / "point.json")


def tagged(own, given, *more):
    return ["tag", given / "jets.parquet", "--tagger", own / "tagger", "-o", own / "out" / "scores.root", *more]


def tagger(name, change, *more, **expected):
    """A case in which jets are tagged with a copy of the tagger that ``change`` changed, called with its folder."""

    def make(given, own):
        shutil.copytree(given / "tagger", own / "tagger")
        change(own / "tagger")
        return tagged(own, given, *more)

    return Case(f"tagger-{name}", make, **expected)


def described(name, change, **expected):
    return tagger(name, lambda folder: resealed(folder / "tagger.json", change), **expected)


def at(*path, value):
    """A change of one value in a description."""

    def change(values):
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


def replaced(name, content):
    """Another file in the folder, with its checksum."""

    def change(folder):
        made = content(folder) if callable(content) else content
        (folder / name).write_bytes(made)
        resealed(folder / "tagger.json", at("checksums", name, value=hashlib.sha256(made).hexdigest()))

    return change


def network(change):
    """The tagger's own ONNX model, changed."""

    def content(folder):
        model = onnx.load(folder / "model.onnx")
        return (change(model) or model).SerializeToString()

    return replaced("model.onnx", content)


def external(model):
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../../../../../etc/passwd")


def custom_operator(model):
    model.graph.node.append(helper.make_node("Trojan", ["particles"], ["horse"], domain=MARKER))
    model.opset_import.append(helper.make_opsetid(MARKER, 1))


def loop(model):
    number, flag, floats = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [info("i", number, []), info("go", flag, []), info("v", floats, None)],
        [info("on", flag, []), info("w", floats, None)],
    )
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.int64(2**62), "often"), numpy_helper.from_array(np.array(True), "yes")]
    )
    model.graph.node.append(helper.make_node("Loop", ["often", "yes", "before"], [output], body=body))


def functions(model):
    node = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function(MARKER, "f", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))


def enormous(model):
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.int64([10**6, 10**6, 1, 1]), "size"))
    model.graph.node.append(helper.make_node("Expand", ["before", "size"], ["large"]))
    model.graph.node.append(helper.make_node("ReduceMax", ["large"], [output], axes=[0, 1], keepdims=0))


def more_classes(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 10**9


def no_classes(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].Clear()


def two_outputs(model):
    name = model.graph.node[-2].output[0]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def metadata(model):
    for each in model.metadata_props:
        each.value = "{" * 3000 + ESCAPES


def linked(name, target):
    """A file of the folder that is a link."""

    def change(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return change


def pipe(folder):
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")


def nested(folder):
    (folder / "tagger.json").write_text("[" * 100_000)


def unsealed(folder):
    """A folder of an older hepnn."""
    values = json.loads((folder / "tagger.json").read_text())
    values.pop("checksum", None)
    values["format"] = 2
    (folder / "tagger.json").write_text(json.dumps(values))


def bystanders(folder):
    """Files that loading does not look at."""
    (folder / f"{MARKER}.py").write_text("raise SystemExit")
    (folder / "__init__.py").write_text(f"import {MARKER}")
    (folder / "sitecustomize.py").write_text(f"import {MARKER}")
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))


def names_of_classes(*names):
    return lambda values: values.update(classes=sorted(names))


def leaves(values, path=()):
    """The path to every value in a description."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def mutated(seed):
    """One value somewhere in the description is another one."""

    def change(values):
        rng = np.random.default_rng(seed)
        paths = [path for path in leaves(values) if path[0] not in ("versions", "training", "seen") or seed % 3 == 0]
        at(*paths[rng.integers(len(paths))], value=VALUES[rng.integers(len(VALUES))])(values)

    return described(f"value-{seed}", change, expected=("done", "refused"))


def as_tagger(name, content):
    """Something else than a tagger's folder."""

    def make(given, own):
        path = own / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        return ["tag", given / "jets.parquet", "--tagger", path, "-o", own / "out" / "scores.root"]

    return Case(f"as-tagger-{name}", make, says="asked for the tagger")


def saved_model(path):
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    (path / "keras_metadata.pb").write_bytes(MARKER.encode())


def legacy(path):
    import h5py

    with h5py.File(path, "w") as file:
        legacy_keras(file)


def object_array():
    made = io.BytesIO()
    np.savez(made, a=np.array([Bomb()], dtype=object))
    return made.getvalue()


def zipped(members, compression=zipfile.ZIP_STORED):
    made = io.BytesIO()
    archive(made, members, compression=compression)
    return made.getvalue()


HOSTILE_NAMES = (f"../../{SCRIPT}", f"{ESCAPES}[/bold]")

CASES = [
    tagger("intact", lambda folder: None, expected=("done",)),
    tagger("older", unsealed, expected=("done",)),
    tagger("bystanders", bystanders, expected=("done",)),
    described("model", at("model", "name", value=f"{MARKER}:f"), says="Hand over its function"),
    described(
        "feature",
        at("representation", "collections", "particles", "features", 0, value={"custom": f"{MARKER}:f"}),
        says="hand it over",
    ),
    described("representation", at("representation", "kind", value=f"{MARKER}:Cloud")),
    described("recipe-model", at("recipe", "model", value=f"{MARKER}:f"), expected=("done",)),
    described("recipe-schema", at("recipe", "schema", value="/dev/zero"), expected=("done",)),
    described("recipe-start", at("recipe", "start_from", value="/etc"), expected=("done",)),
    described("recipe-distribute", at("recipe", "distribute", value="multi-worker"), expected=("done",)),
    described("recipe-unknown", at("recipe", MARKER, value=1), expected=("done",)),
    described("checksums", at("checksums", "../../given/jets.parquet", value="0"), expected=("done",)),
    described("no-checksums", at("checksums", value={}), says="tagger.json is not as"),
    described("classes", names_of_classes(*HOSTILE_NAMES), expected=("done", "refused")),
    described("classes-alike", at("classes", value=["a", "a"])),
    described("classes-objects", at("classes", value=[{"a": 1}, {"b": 2}])),
    described(
        "formula", at("schema", value={"name": "x", "collections": {"particles": {"pt": f"__import__('{MARKER}')"}}})
    ),
    described("nan", at("temperature", value="x")),
    tagger("nested", nested, says="nested too deep"),
    tagger("yaml", lambda folder: (folder / "tagger.json").write_text(f"!!python/object/apply:{MARKER}.f []")),
    tagger("pickled", replaced("weights.npz", object_array()), says=r"weights.npz is not as .*allow_pickle=False"),
    tagger("pickle", replaced("weights.npz", pickle.dumps(Bomb())), says="weights.npz is not as"),
    tagger("claims", replaced("weights.npz", zipped({"a.npy": claims((10**12,))})), says="weights.npz"),
    tagger("bomb", replaced("weights.npz", zipped({"a.npy": bytes(2**24)}, zipfile.ZIP_DEFLATED)), says="larger than"),
    tagger(
        "traversal", replaced("weights.npz", zipped({f"../../{MARKER}.npy": claims((8,))})), says="made from weights"
    ),
    tagger("external", network(external), says="ONNX Runtime .* refuses it"),
    tagger("operator", network(custom_operator), says="ONNX Runtime .* refuses it"),
    tagger("loop", network(loop), says="'Loop' has a graph of its own"),
    tagger("functions", network(functions), says="has functions of its own"),
    tagger("enormous", network(enormous)),
    tagger("more-classes", network(more_classes), expected=("done", "refused")),
    tagger("no-classes", network(no_classes), expected=("done", "refused")),
    tagger("two-outputs", network(two_outputs), says="its outputs are of the shapes"),
    tagger("metadata", network(metadata)),
    tagger("no-onnx", replaced("model.onnx", b"\x3a\xff\xff\xff\xff\x0f"), says="ends early"),
    tagger("int8-intact", lambda folder: None, "--precision", "int8", expected=("done",)),
    tagger("int8", network(external), "--precision", "int8", says="ONNX Runtime .* refuses it"),
    tagger("endless-weights", linked("weights.npz", "/dev/zero"), says="weights.npz is no file"),
    tagger("endless-description", linked("tagger.json", "/dev/zero"), says="tagger.json is no file"),
    tagger("pipe", pipe, says="model.onnx is no file"),
    tagger("secret", linked("tagger.json", "/etc/passwd"), says="tagger.json cannot be read"),
    *map(mutated, range(N_MUTATIONS)),
    as_tagger("model.keras", keras_file()),
    as_tagger("model.h5", legacy),
    as_tagger("model.pkl", pickle.dumps(Bomb())),
    as_tagger("model.onnx", b"\x08\x08"),
    as_tagger("saved_model", saved_model),
]


def prepare():
    """Imports what tagging takes, before anybody watches."""
    import hepnn.baseline
    import hepnn.shards  # noqa: F401
