"""Every example runs, and so does every block of code in the README."""

import itertools
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import uproot

from hepnn import Tagger, generate_toy, read_jets, tasks
from hepnn.cli import cli
from hepnn.onnx_export import write_onnx
from hepnn.schema import Schema, load_schema

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
ARGUMENTS = {
    "tag_a_file.py": ["train.root", "test.root", "scores.root"],
    "custom_feature.py": ["train.root"],
    "jet_images.py": ["train.root"],
    "own_ntuple.py": [],
    "cross_validation.py": ["train.root"],
    "dask_cluster.py": ["tagger", "scores.root", "test.root", "train.root"],
    "onnx_without_hepnn.py": ["tagger.onnx", "test.root", "scores.npz"],
    "pfnano_with_coffea.py": [],  # run in tests/test_arrays.py, on events
}

PRINTED = {
    "tag_a_file.py": "50 rows in scores.root",
    "custom_feature.py": "the same after loading: True",
    "jet_images.py": "the same after loading: True",
    "own_ntuple.py": "400 rows in mine_scores.root",
    "cross_validation.py": "boosted trees: accuracy 0.",
    "dask_cluster.py": "250 rows in scores.root",
    "onnx_without_hepnn.py": "50 jets scored without hepnn",
}
"""What is on stdout at the end."""

FASTER = {
    "20000": "600",
    "5000": "100",
    "--model gru": "--model gru --epochs 1",
    "--model cnn3d": "--model cnn3d --epochs 1",
    "epochs=5": "epochs=1",
    "epochs=2": "epochs=1",
    '"size": 33': '"size": 9',
    "size=11,11": "size=5,5",
    "report -o": "report --quick -o",
}
"""What the README's commands are run with here: the same words, fewer jets and epochs."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_has_its_arguments_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(ARGUMENTS)


@pytest.mark.parametrize("name", PRINTED)
def test_example_runs(name, folder, monkeypatch, capsys):
    generate_toy("train.root", 200, seed=1)
    generate_toy("test.root", 50, seed=2)
    if "tagger" in " ".join(ARGUMENTS[name]):
        jets = read_jets("train.root")
        tagger = Tagger("deepsets", features=["kinematics"], epochs=1, schema="jetclass").fit(jets)
        cli.main(["export", str(tagger.save("tagger")), "--onnx", "tagger.onnx"], standalone_mode=False)
    if name == "dask_cluster.py":
        pytest.importorskip("distributed")
        command = [sys.executable, ROOT / "examples" / name, *ARGUMENTS[name]]  # its workers import what was started
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        monkeypatch.setattr(sys, "argv", [name, *ARGUMENTS[name]])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        out = capsys.readouterr().out
    assert PRINTED[name] in out
    if name == "onnx_without_hepnn.py":
        found, expected = np.load("scores.npz"), tagger.predict_proba(read_jets("test.root"))
        for position, of_class in enumerate(tagger.classes_):
            np.testing.assert_allclose(found[of_class], expected[:, position], atol=1e-5)


def test_the_example_without_hepnn_is_without_it():
    text = (ROOT / "examples" / "onnx_without_hepnn.py").read_text()
    assert set(re.findall(r"^import (\w+)", text, flags=re.MULTILINE)) == {
        "json", "sys", "awkward", "numpy", "onnxruntime", "uproot",
    }  # fmt: skip


CPP = ROOT / "examples" / "score_jets.cpp"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with tagger.onnx and preprocess.json, and what the tagger says of test.root."""
    path = tmp_path_factory.mktemp("exported")
    generate_toy(path / "train.root", 200, seed=1)
    generate_toy(path / "test.root", 50, seed=2)
    settings = {"features": ["kinematics"], "epochs": 1, "max_particles": 40}
    tagger = Tagger("deepsets", **settings).fit(read_jets(path / "train.root"))
    write_onnx(tagger, path / "tagger.onnx", float_masks=True)
    return path, tagger


def test_the_cpp_of_the_examples_names_what_an_export_has(exported):
    folder, _ = exported
    about = json.loads((folder / "preprocess.json").read_text())
    text = (ROOT / "examples" / "jet_tagger.hxx").read_text()
    for array, names in (("inputs", about["input_names"]), ("outputs", about["output_names"])):
        (found,) = re.findall(rf"{array}\[\] = \{{(.*?)\}}", text)
        assert re.findall(r'"(\w+)"', found) == names
    (found,) = re.findall(r'kFeatures = "(.*?)";', text, flags=re.DOTALL)
    assert re.findall(r'\\"(\w+)\\"', found) == about["particles"]["var_names"]


def test_the_cpp_of_the_examples_gives_the_scores_of_hepnn(exported):
    """Set ORT_INCLUDE to a folder with onnxruntime_cxx_api.h; the library is that of the Python package."""
    include, compiler = os.environ.get("ORT_INCLUDE"), shutil.which("g++")
    if not (include and compiler):
        pytest.skip("it takes g++, and the headers of ONNX Runtime in the folder that ORT_INCLUDE names")
    folder, tagger = exported
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library)
    where = [f"-I{include}", CPP, f"-L{folder}", f"-Wl,-rpath,{folder}", "-lonnxruntime"]
    subprocess.run([compiler, "-std=c++17", "-Wall", "-Wextra", *where, "-o", folder / "score_jets"], check=True)

    def scored(lines, check=True):
        command = [folder / "score_jets", folder / "tagger.onnx"]
        return subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=check)

    def line(jet):
        particles = zip(*(jet[f"part_{name}"] for name in ("px", "py", "pz", "energy")), strict=True)
        numbers = [*(jet[f"jet_{name}"] for name in ("pt", "eta", "phi", "energy")), *itertools.chain(*particles)]
        return " ".join(map(repr, numbers))

    with uproot.open(folder / "test.root") as file:
        lines = list(map(line, file["tree"].arrays(filter_name=["jet_*", "part_*"]).tolist()))
    classes, *rows = scored([*lines, "500 0.1 0.2 510"]).stdout.splitlines()
    assert json.loads(classes) == tagger.classes_.tolist()
    found = np.array([row.split() for row in rows], float)
    np.testing.assert_allclose(found[:-1], tagger.predict_proba(read_jets(folder / "test.root")), atol=1e-6)
    assert found[-1].sum() == pytest.approx(1)  # of a jet without particles
    assert "a particle has to have px, py, pz and energy" in scored(["500 0.1 0.2 510 1 2 3"], check=False).stderr
    other = Tagger("deepsets", features=["log_pt"], epochs=1).fit(read_jets(folder / "train.root"))
    write_onnx(other, folder / "tagger.onnx", float_masks=True, overwrite=True)
    assert 'was trained on {"particles": ["log_pt"]}, not on' in scored([], check=False).stderr


def test_the_readme_begins_with_two_commands_for_a_bare_machine():
    first, second = (text for language, text in BLOCKS[:2] if language == "bash")
    assert first.startswith("python3 -m venv .venv && ")
    assert first.rstrip().endswith("hepnn demo")
    assert second.rstrip().endswith("tox")


def test_commands_and_python_of_the_readme_run(folder, monkeypatch):
    def blocks_of(language):
        for found, text in BLOCKS[2:]:
            if found == language:
                for slow, quick in FASTER.items():
                    text = text.replace(slow, quick)
                yield text

    commands = [shlex.split(line, comments=True) for text in blocks_of("bash") for line in text.splitlines()]
    assert len(commands) >= 8
    assert {program for program, *_ in commands} == {"hepnn"}
    monkeypatch.setattr(
        tasks, "TASKS", {"shapes-count": tasks.TASKS["shapes-count"]}
    )  # the others have their own tests
    for _, *arguments in commands:
        cli.main(arguments, standalone_mode=False)
    namespace = {}
    for text in blocks_of("python"):
        text = text.replace('save("tagger")', 'save("tagger-2")').replace('"scores.root"', '"scores-2.root"')
        exec(compile(text, "README.md", "exec"), namespace)  # noqa: S102  # our own text
    assert namespace["result"].accuracy.value > 0
    assert {path.name for path in folder.iterdir()} >= {
        "scores.root",
        "scores-2.root",
        "roc.png",
        "showers.png",
        "report",
        "tagged.root",
        "tagger",
        "tagger-2",
        "streamed",
        "tagger.onnx",
        "tasks",
    }
    assert (folder / "tasks" / "report.html").exists()


def test_every_language_of_the_readme_is_tested():
    assert {language for language, _ in BLOCKS} == {"bash", "python", "toml"}


def test_the_readme_shows_pictures_that_are_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).exists(), path


def test_the_schema_in_the_readme_is_one(folder):
    (text,) = (text for language, text in BLOCKS if language == "toml")
    Path("yours.toml").write_text(text)
    assert isinstance(load_schema("yours.toml"), Schema)
