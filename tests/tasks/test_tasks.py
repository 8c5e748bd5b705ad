"""What all tasks share: the registry, results and their goals, results on disk, the report, the command line."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import hepnn
from hepnn import tasks
from hepnn.cli import cli
from hepnn.errors import InputError, OutputError
from hepnn.roc import Measured
from hepnn.tasks import TASKS, Goal, Task, find_task
from hepnn.tasks.report import write_report
from hepnn.tasks.saving import load_result, save_result
from hepnn.tasks.task import Fit, Outcome, Table

SHARED = {"task", "fitting", "measuring", "pictures", "saving", "report", "references", "layer_examples"}
SHARED |= {"calo_data", "few_labels", "resolution", "separation", "shower_shapes"}
"""Modules of the folder that are no tasks."""


def toy(*, accuracy=0.9, seen=None):
    """A task whose function trains nothing, and a record of what it was called with."""
    task = Task(
        "toy-task",
        "Nothing.",
        (Goal("accuracy", 0.95, quick=0.8), Goal("error [px]", 2.0, quick=3.0, at_least=False)),
    )

    def run(*, seed, quick, report):
        if seen is not None:
            seen.append((seed, quick, float(keras.random.uniform(()))))
        report("running")
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="net")
        figure = Figure()
        figure.add_subplot().plot([0, 1])
        return Outcome(
            measured={"accuracy": Measured(accuracy, 0.01), "error [px]": Measured(2.5, 0.1)},
            fits={"net": Fit(model, {"loss": [2.0, 1.0]}, 1.5), "other": Fit(model, {}, 0.5)},
            n_test=100,
            tables=[Table("table", ("name", "value"), [("a", np.float32(0.5)), ("b", Measured(1.0, 0.1))])],
            figures={"a picture": figure},
        )

    return task, run


@pytest.fixture
def installed(monkeypatch):
    """The toy task as the only one in the registry."""
    task, run = toy()
    monkeypatch.setattr(Task, "module", SimpleNamespace(run=run, __doc__="The *lesson*."))
    monkeypatch.setattr(tasks, "TASKS", {task.name: task})
    return task


def test_every_task_is_a_file_and_every_file_a_task():
    files = {path.stem for path in Path(tasks.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in TASKS} == files - SHARED


def test_every_task_has_a_test_file():
    for name in TASKS:
        assert Path(__file__).with_name(f"test_{name.replace('-', '_')}.py").exists(), name


def test_the_course_has_its_twenty_four_tasks():
    assert len(TASKS) == 24
    for name, task in TASKS.items():
        assert task.name == name
        assert task.goals
        assert task.lesson.endswith(".")


def test_a_wrong_name_is_refused_with_the_closest():
    with pytest.raises(InputError, match=r"asked for the task 'shape-count'; closest: 'shapes-count'"):
        find_task("shape-count")


def test_goals_are_bounds_and_a_quick_run_has_its_own(installed):
    result, quick = installed.run(), installed.run(quick=True)
    assert [metric.passed for metric in result.metrics] == [False, False]
    assert [metric.bound for metric in result.metrics] == ["≥ 0.95", "≤ 2"]
    assert [metric.passed for metric in quick.metrics] == [True, True]
    assert (result.passed, quick.passed) == (False, True)
    assert result.metrics[0].uncertainty == 0.01


def test_a_metric_that_is_nan_does_not_pass(installed, monkeypatch):
    _, run = toy(accuracy=float("nan"))
    monkeypatch.setattr(Task, "module", SimpleNamespace(run=run))
    result = installed.run(quick=True)
    assert not result.passed
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["metrics"][0]["value"] is None


def test_a_result_has_model_parameters_and_the_time_of_all_trainings(installed):
    result = installed.run()
    assert result.model.name == "net"
    assert result.parameters == 3 * 2 + 2
    assert result.seconds == 2.0
    assert result.n_test == 100


def test_the_seed_sets_what_keras_draws_and_leaves_numpy_as_it_was(monkeypatch):
    seen = []
    task, run = toy(seen=seen)
    monkeypatch.setattr(Task, "module", SimpleNamespace(run=run))
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    for seed in (1, 1, 2):
        task.run(seed=seed)
    assert np.random.random() == expected  # noqa: NPY002
    assert seen[0] == seen[1]
    assert seen[0][2] != seen[2][2]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_a_seed_that_is_no_whole_number_is_refused(installed, seed):
    with pytest.raises(InputError, match=r"asked to run toy-task with seed=.*; give a whole number"):
        installed.run(seed=seed)


def test_a_saved_result_is_found_again_with_its_pictures_and_models(installed, tmp_path):
    save_result(installed.run(seed=3), tmp_path)
    saved = load_result(installed, tmp_path, seed=3, quick=False)
    assert saved.values["metrics"][0]["value"] == 0.9
    assert saved.values["tables"][0]["rows"] == [["a", 0.5], ["b", "1.00 ± 0.10"]]
    assert saved.pictures["a picture"].read_bytes().startswith(b"\x89PNG")
    assert keras.models.load_model(tmp_path / "toy-task" / "net.keras").count_params() == 8


@pytest.mark.parametrize("what", ["seed", "quick", "version", "picture", "half", "changed"])
def test_a_result_of_another_run_or_a_broken_one_is_not_taken(installed, tmp_path, monkeypatch, what):
    save_result(installed.run(seed=3), tmp_path)
    own = tmp_path / "toy-task"
    if what == "version":
        monkeypatch.setattr(hepnn, "__version__", "0.0.0")
    elif what == "picture":
        (own / "a_picture.png").unlink()
    elif what == "half":
        text = (own / "result.json").read_text()
        (own / "result.json").write_text(text[: len(text) // 2])
    elif what == "changed":
        text = (own / "result.json").read_text()
        (own / "result.json").write_text(text.replace('"value": 0.9', '"value": 0.99'))
    assert load_result(installed, tmp_path, seed=4 if what == "seed" else 3, quick=what == "quick") is None


def test_saving_again_leaves_nothing_of_the_earlier_result(installed, tmp_path):
    save_result(installed.run(), tmp_path)
    (tmp_path / "toy-task" / "old.png").write_bytes(b"")
    save_result(installed.run(), tmp_path)
    assert {path.name for path in (tmp_path / "toy-task").iterdir()} == {
        "result.json",
        "a_picture.png",
        "net.keras",
        "other.keras",
    }


def test_a_folder_that_cannot_be_made_is_refused(installed, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"asked to write .*toy-task; Not a directory"):
        save_result(installed.run(), tmp_path / "file")


def test_the_report_shows_lesson_numbers_tables_and_pictures(installed, tmp_path):
    saved = save_result(installed.run(), tmp_path)
    text = write_report({installed: saved}, tmp_path / "report.html").read_text()
    for part in (
        "0 of 1 tasks",
        "The <em>lesson</em>",
        "0.900 ± 0.010",
        "≥ 0.95",
        "missed",
        "a picture",
        "1.00 ± 0.10",
    ):
        assert part in text, part


def run_cli(*arguments):
    return CliRunner().invoke(cli, ["task", *arguments], catch_exceptions=False)


def test_the_command_lists_all_tasks_with_their_goals():
    listed = json.loads(run_cli("list", "--json").stdout)
    assert [each["task"] for each in listed] == list(TASKS)
    assert listed[0]["goals"][0]["target"] == 0.998
    shown = run_cli("list").stdout
    assert all(name in shown for name in TASKS)


def test_the_command_runs_a_task_keeps_it_and_tells_whether_it_passed(installed, tmp_path):
    missed = run_cli("run", "toy-task", "--json", "-o", str(tmp_path))
    passed = run_cli("run", "all", "--quick")
    assert (missed.exit_code, passed.exit_code) == (10, 0)
    assert json.loads(missed.stdout)[0]["passed"] is False
    assert "0.900 ± 0.010" in passed.stdout
    assert (tmp_path / "toy-task" / "result.json").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_the_training(installed, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for words in (["run", "toy-task"], ["report"]):
        result = CliRunner().invoke(cli, ["task", *words, "-o", str(tmp_path / "file")])
        assert isinstance(result.exception, OutputError)
        assert "running" not in result.stderr


def test_the_command_reports_and_takes_what_is_there(installed, tmp_path):
    for _ in range(2):
        result = run_cli("report", "-o", str(tmp_path), "--quick")
        assert result.stdout.strip() == str(tmp_path / "report.html")
    assert "toy-task" in (tmp_path / "report.html").read_text()
    assert "running" in run_cli("report", "-o", str(tmp_path)).stderr
    assert "running" not in run_cli("report", "-o", str(tmp_path)).stderr
