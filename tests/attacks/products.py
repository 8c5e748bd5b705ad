"""Attacks in what else hepnn writes and reads again: boosted trees, parts of a tagging, shards, working points."""

import json
import pickle
import shutil

import numpy as np
import onnx

from tests.attacks.guard import MARKER, Case
from tests.attacks.sources import ESCAPES, Bomb, tagging
from tests.attacks.taggers import at, linked, object_array
from tests.conftest import resealed


def trees(name, change):
    """Boosted trees that somebody changed who knows about their checksum; what else they hold has to be right."""

    def make(given, own):
        from hepnn.baseline import BoostedTrees
        from hepnn.forests import _seal
        from tests.conftest import make_jets

        model = onnx.load(given / "trees.onnx")
        del model.metadata_props[-1]
        content = change(model) or model.SerializeToString()
        (own / "trees.onnx").write_bytes(content + _seal(content))
        jets = make_jets(20)
        return lambda: BoostedTrees.load(own / "trees.onnx").predict_proba(jets)

    return Case(f"trees-{name}", make)


def branches(**changes):
    def change(model):
        for attribute in model.graph.node[0].attribute:
            if attribute.name in changes:
                attribute.ints[:] = [changes[attribute.name]] * len(attribute.ints)

    return change


def about(**changes):
    def change(model):
        for each in model.metadata_props:
            if each.key in changes:
                value = changes[each.key]
                each.value = value if isinstance(value, str) else json.dumps(value)

    return change


def merged(name, change, **expected):
    """A case in which parts of a tagging are merged."""

    def make(given, own):
        folder = own / "out" / "scores.root.parts"
        shutil.copytree(given / "scores.root.parts", folder)
        change(folder)
        return ["merge", folder]

    return Case(f"merge-{name}", make, **expected)


def job(change):
    return lambda folder: resealed(folder / "job.json", change)


def first_part(change):
    """The file of the first part, written anew."""

    def write(folder):
        path = sorted(folder.glob("*.npz"))[0]
        with np.load(path) as given:
            arrays = dict(given)
        made = change(arrays)
        if isinstance(made, bytes):
            path.write_bytes(made)
        else:
            np.savez(path, **made)

    return write


def told(arrays, **changes):
    description = {**json.loads(str(arrays["about"])), **changes}
    return {**arrays, "about": np.array(json.dumps(description))}


def beyond(arrays):
    """Lists that reach beyond what there is."""
    form = {"class": "ListOffsetArray", "offsets": "i64", "content": "float32", "form_key": "n0"}
    form["content"] = {"class": "NumpyArray", "primitive": "float32", "form_key": "n1"}
    record = {"class": "RecordArray", "fields": ["x"], "contents": [form], "form_key": "r"}
    made = told(arrays, form=json.dumps(record), length=60)
    return {
        "about": made["about"],
        "n0-offsets": np.arange(61) * 10**9,
        "n1-data": np.zeros(4, np.float32),
    }


def shards(name, change):
    def make(given, own):
        from hepnn import Shards

        shutil.copytree(given / "shards", own / "shards")
        change(own / "shards")

        def read():
            opened = Shards.open(own / "shards")
            opened.read(range(opened.n_blocks))

        return read

    return Case(f"shards-{name}", make)


def point(name, change, **expected):
    def make(given, own):
        path = own / "point.json"
        values = json.loads((given / "point.json").read_text())
        made = change(values)
        path.write_text(made if isinstance(made, str) else json.dumps(values))
        return [*tagging(given, own), "--working-point", path]

    return Case(f"point-{name}", make, **expected)


CASES = [
    trees("cycle", branches(nodes_truenodeids=0, nodes_falsenodeids=0)),
    trees("feature", branches(nodes_featureids=10**9)),
    trees("target", branches(target_ids=10**9)),
    trees("classes", about(classes=["a", "b", "c"])),
    trees("observables", about(observables=[{"custom": f"{MARKER}:f"}])),
    trees("settings", about(settings={MARKER: 1})),
    trees("nested", about(settings="[" * 10**5)),
    trees("pickle", lambda model: pickle.dumps(Bomb())),
    merged("intact", lambda folder: None, expected=("done",), may_change=True),
    merged("key", job(at("parts", 0, "key", value="../../../given/tagger/weights")), says="32 hexadecimal digits"),
    merged("tree", job(at("tree", value="../../x")), expected=("done", "refused"), may_change=True),
    merged("tree-list", job(at("tree", value=["x"])), says="its job is not as hepnn writes it"),
    merged("format", job(at("file_format", value=MARKER)), says="its job is not as hepnn writes it"),
    merged("parts", job(at("parts", value={"a": 1})), says="its job is not as hepnn writes it"),
    merged("skipped", job(at("skipped", value=[[1]])), says="its job is not as hepnn writes it"),
    merged("file", job(at("parts", 0, "file", value="/etc/passwd")), says="is about the entries"),
    merged("nested", lambda folder: (folder / "job.json").write_text("[" * 10**5)),
    merged("pickled", first_part(lambda arrays: object_array())),
    merged("pickle", first_part(lambda arrays: pickle.dumps(Bomb()))),
    merged("beyond", first_part(beyond), says="cannot be read"),
    merged("form", first_part(lambda arrays: told(arrays, form="[" * 5000)), says="cannot be read"),
    merged("length", first_part(lambda arrays: told(arrays, length=10**15)), says="cannot be read"),
    merged("rows", first_part(lambda arrays: told(arrays, rows=[1, "x", {}, None])), says="missing"),
    shards("counts", lambda folder: resealed(folder / "shards.json", at("counts", value={"a": 10**18}))),
    shards("text", lambda folder: resealed(folder / "shards.json", at("counts", "quark", value="x"))),
    shards("schema", lambda folder: resealed(folder / "shards.json", at("schema", value=[1]))),
    shards("nested", lambda folder: (folder / "shards.json").write_text("[" * 10**5)),
    shards("pickle", lambda folder: (folder / "jets-00000.parquet").write_bytes(pickle.dumps(Bomb()))),
    shards("endless", linked("jets-00000.parquet", "/dev/zero")),
    point("intact", lambda values: None, expected=("done",)),
    point("nested", lambda values: "[" * 10**5),
    point("name", lambda values: values.update(name=f"../../{ESCAPES}"), expected=("done", "refused")),
    point("signal", lambda values: values.update(signal=["quark"])),
    point("fractions", lambda values: values.update(fractions={"gluon": "x"})),
    point("thresholds", lambda values: values.update(thresholds=[None])),
    point("column", lambda values: values.update(column=f"{MARKER}.x", edges=[0, 1, 2], thresholds=[0, 1])),
    point("column-list", lambda values: values.update(column=["pt"], edges=[0, 1, 2], thresholds=[0, 1])),
    point(
        "many",
        lambda values: values.update(edges=[0, 1e308, float("nan")], column="pt", thresholds=[0, 1]),
        expected=("done", "refused"),
    ),
]


def prepare():
    """Imports what these take, before anybody watches."""
    import hepnn.baseline
    import hepnn.shards  # noqa: F401
