"""Every example runs, and so does every block of code in the README."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from hepnn import generate_toy, tasks
from hepnn.cli import cli
from hepnn.schema import Schema, load_schema

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
ARGUMENTS = {
    "tag_a_file.py": ["train.root", "test.root", "scores.root"],
    "custom_feature.py": ["train.root"],
    "jet_images.py": ["train.root"],
}

FASTER = {
    "20000": "300",
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
