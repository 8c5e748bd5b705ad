"""Every example runs, and so does every block of code in the README."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


def test_the_cpp_of_the_examples_names_what_an_export_has(folder):
    generate_toy("train.root", 100, seed=1)
    tagger = Tagger("deepsets", features=["kinematics"], epochs=1).fit(read_jets("train.root"))
    write_onnx(tagger, "tagger.onnx", float_masks=True)
    about = json.loads(Path("preprocess.json").read_text())
    text = (ROOT / "examples" / "score_in_rdataframe.C").read_text()
    (names,) = re.findall(r"inputs\[\] = \{(.*?)\}", text)
    assert re.findall(r'"(\w+)"', names) == about["input_names"]
    (names,) = re.findall(r"outputs\[\] = \{(.*?)\}", text)
    assert re.findall(r'"(\w+)"', names) == about["output_names"]
    (features,) = re.findall(r"// features: (.*)", text)
    assert features.split(", ") == list(tagger.representation_.contents()["particles"].features)


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
