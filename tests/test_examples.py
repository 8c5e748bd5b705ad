"""Every example runs, and so does every block of code in the README."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from hepnn import generate_toy
from hepnn.cli import cli
from hepnn.schema import Schema, load_schema

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
ARGUMENTS = {
    "tag_a_file.py": ["train.root", "test.root", "scores.root"],
    "custom_feature.py": ["train.root"],
}

FASTER = {"20000": "300", "5000": "100", "--model gru": "--model gru --epochs 1", "epochs=5": "epochs=1"}
"""What the README's commands are run with here: the same words, fewer jets and epochs."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_has_its_arguments_here():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_example_runs(name, folder, monkeypatch, capsys):
    generate_toy("train.root", 200, seed=1)
    generate_toy("test.root", 50, seed=2)
    monkeypatch.setattr(sys, "argv", [name, *ARGUMENTS[name]])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    out = capsys.readouterr().out
    assert "50 rows in scores.root" in out or "the same after loading: True" in out


def test_the_readme_begins_with_two_commands_for_a_bare_machine():
    first, second = (text for language, text in BLOCKS[:2] if language == "bash")
    assert first.startswith("python3 -m venv .venv && ")
    assert first.rstrip().endswith("hepnn demo")
    assert second.rstrip().endswith("tox")


def test_commands_and_python_of_the_readme_run(folder):
    def faster(text):
        for slow, quick in FASTER.items():
            text = text.replace(slow, quick)
        return text

    commands = [line for _, text in BLOCKS[2:3] for line in faster(text).splitlines()]
    assert len(commands) == 5
    for line in commands:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "hepnn"
        cli.main(arguments, standalone_mode=False)
    (python,) = (text for language, text in BLOCKS if language == "python")
    exec(compile(faster(python), "README.md", "exec"), {})  # noqa: S102  # our own text
    assert {"scores.root", "scores-2.root", "roc.png", "tagger", "tagger-2"} <= {path.name for path in folder.iterdir()}


def test_the_schema_in_the_readme_is_one(folder):
    (text,) = (text for language, text in BLOCKS if language == "toml")
    Path("yours.toml").write_text(text)
    assert isinstance(load_schema("yours.toml"), Schema)
