"""The command line as a user meets it: what it prints, writes, refuses, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import awkward as ak
import click
import numpy as np
import pytest
import uproot

import hepnn
from hepnn import Tagger, read_jets
from hepnn.cli import cli
from hepnn.tagger import Tagger as TaggerClass
from tests.readers.test_reading import columns, write

QUICK = ["--epochs", "1", "--option", "units=[6]", "--option", "encoder=[6]", "--option", "head_units=[6]"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [str(write(folder / f"jets{seed}.root", columns(150, seed=seed))) for seed in (1, 2)]


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory):
    """A tagger trained on the files, saved."""
    options = {"encoder": (6,), "units": (6,), "head_units": (6,)}
    tagger = Tagger("gru", model_options=options, epochs=1, schema="hepnn").fit(read_jets(files))
    return str(tagger.save(tmp_path_factory.mktemp("tagger") / "tagger"))


def test_train_writes_a_tagger_and_says_what_it_is(run, files, tmp_path):
    code, out, err = run("train", *files, "-o", tmp_path / "tagger", *QUICK, "--logs", tmp_path / "logs")
    assert code == 0
    assert "classes gluon, quark" in out
    assert "300 jets, schema hepnn" in err
    assert "epoch 1/1" in err
    tagger = Tagger.load(tmp_path / "tagger")
    assert tagger.model_options == {"units": [6], "encoder": [6], "head_units": [6]}
    assert tagger.read_schema().name == "hepnn"
    assert (tmp_path / "logs" / "epochs.csv").exists()
    assert not list(tmp_path.glob(".*"))


def test_train_as_json_is_for_machines(run, files, tmp_path):
    code, out, _ = run("train", files[0], "-o", tmp_path / "tagger", *QUICK, "--json", "--max-jets", "100")
    result = json.loads(out)
    assert code == 0
    assert result["n_jets"] == 100
    assert result["classes"] == ["gluon", "quark"]
    assert 0 <= result["val_auc"] <= 1


def test_train_flattens_and_calibrates_if_asked(run, files, tmp_path):
    more = ["--flatten", "pt:2,mass:3", "--calibrate", "--json"]
    code, _, _ = run("train", *files, "-o", tmp_path / "tagger", *QUICK, *more)
    assert code == 0
    tagger = Tagger.load(tmp_path / "tagger")
    assert tagger.calibrate
    assert tagger.temperature_ != 1.0
    code, _, err = run("train", *files, "-o", tmp_path / "other", *QUICK, "--flatten", "pt")
    assert code == 2
    assert "asked for the bins 'pt'; write FIELD:NUMBER,..., such as pt:10,mass:10" in err


def test_tag_writes_one_row_an_entry_in_order(run, files, folder, tmp_path):
    output = tmp_path / "scores.root"
    code, out, _ = run("tag", *files, "--tagger", folder, "-o", output)
    assert code == 0
    assert "300 jets in 300 entries, hepnn_gluon, hepnn_quark" in out
    with uproot.open(output) as file:
        scores = file["hepnn"].arrays()
    expected = Tagger.load(folder).predict_proba(read_jets(files))
    np.testing.assert_allclose(np.stack([scores.hepnn_gluon, scores.hepnn_quark], axis=1), expected, atol=1e-6)


def test_tag_reads_in_steps_and_gives_the_same(files, folder, tmp_path, monkeypatch):
    from hepnn import tagging
    from hepnn.readers import JetFiles

    tagger = Tagger.load(folder)
    (whole,) = tagging.tag(files, tagger, tmp_path / "whole.root")
    original = JetFiles.chunks
    monkeypatch.setattr(JetFiles, "chunks", lambda files, *, step: original(files, step=7))
    (steps,) = tagging.tag(files, tagger, tmp_path / "steps.root")
    assert whole[1:] == steps[1:] == (300, 300, ("hepnn_gluon", "hepnn_quark"), 0)
    first, second = (uproot.open(f"{part.path}:hepnn")["hepnn_quark"].array() for part in (whole, steps))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_shares_are_merged_on_the_command_line(run, files, folder, tmp_path):
    output = tmp_path / "scores.root"
    for share, again in (("1/2", False), ("1/2", True), ("2/2", False)):
        code, out, err = run("tag", *files, "--tagger", folder, "-o", output, "--step", "100", "--part", share)
        assert code == 0
        assert out.endswith(f"Once all shares are there: hepnn merge {output}.parts\n")
        assert ("were done before" in err) == again
    code, out, _ = run("merge", f"{output}.parts", "--json")
    assert code == 0
    (done,) = json.loads(out)
    assert (done["path"], done["tree"], done["n_jets"]) == (str(output), "hepnn", 300)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.root"]


def test_a_file_without_entries_gives_a_file_without_rows(run, folder, tmp_path):
    empty = write(tmp_path / "empty.root", {name: array[:0] for name, array in columns(3).items()})
    code, out, _ = run("tag", empty, "--tagger", folder, "-o", tmp_path / "scores.root", "--json")
    assert code == 0
    assert json.loads(out)[0]["n_entries"] == 0
    assert uproot.open(tmp_path / "scores.root")["hepnn"].num_entries == 0


def test_evaluate_prints_auc_and_rejections_and_draws_the_roc(run, files, folder, tmp_path):
    picture = tmp_path / "roc.png"
    code, out, _ = run("evaluate", *files, "--tagger", folder, "-o", picture)
    assert code == 0
    assert "AUC" in out
    assert "quark" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("evaluate", *files, "--tagger", folder, "--json")
    (part,) = json.loads(out)["separations"]
    assert (part["signal"], part["background"]) == ("quark", "gluon")
    assert set(part["rejection"]) == {"0.3", "0.5", "0.7", "0.99"}
    assert part["auc"]["error"] > 0


def test_evaluate_compares_taggers_and_scores_in_a_report(run, files, folder, tmp_path):
    assert run("tag", *files, "--tagger", folder, "-o", tmp_path / "scores.root")[0] == 0
    again = f"again={tmp_path}/scores.root:hepnn_*"
    code, out, _ = run(
        "evaluate", *files, "--tagger", f"gru={folder}", "--scores", again, "--against", "pt,n_particles",
        "--working-point", "efficiency=0.5", "--bins", "pt:2", "--correctionlib", "--insight", "-o", tmp_path / "report",
    )  # fmt: skip
    assert code == 0
    assert f"{tmp_path}/report/report.html" in out.replace("\n", "")
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    (matchup,) = results["matchups"]
    assert matchup["separations"]["gru"]["auc"] == pytest.approx(matchup["separations"]["again"]["auc"], abs=1e-3)
    assert list(matchup["passing_at_half_the_signal"]) == ["pt", "n_particles"]
    assert results["data"]["files"] == [f"{path}:tree" for path in files]
    point = results["working_points"]["quark_efficiency_50"]
    assert (point["column"], len(point["thresholds"])) == ("pt", 2)
    correction = json.loads((tmp_path / "report" / "quark_efficiency_50.correctionlib.json").read_text())
    assert [each["name"].rpartition("_")[2] for each in correction["corrections"]] == ["threshold", "efficiency"]
    assert [each["variation"] for each in results["robustness"]["gru"]][:2] == ["smear", "smear"]
    assert {each["tensor"] for each in results["importance"]["gru"]} == {"particles"}
    assert results["inputs"]["gru"][0]["distance"] < 0.1  # the jets it was trained on
    code, out, err = run("evaluate", *files, "--tagger", folder, "-o", tmp_path / "report")
    assert code == 7
    assert "report.html, which exists" in err


def test_tag_says_which_jets_pass_a_working_point(run, files, folder, tmp_path):
    where = ["-o", tmp_path / "report", "--against", "", "--mass", ""]
    point = ["--working-point", "mistag=0.2", "--bins", "pt:3"]
    assert run("evaluate", *files, "--tagger", folder, *point, *where)[0] == 0
    path = tmp_path / "report" / "quark_mistag_20.json"
    code, out, _ = run(
        "tag", *files, "--tagger", folder, "--working-point", path, "-o", tmp_path / "s.root", "--select", "pt > 1.1"
    )
    assert code == 0
    assert "hepnn_quark_mistag_20" in out
    tree = uproot.open(tmp_path / "s.root")["hepnn"].arrays()
    passed = ak.to_numpy(tree.hepnn_quark_mistag_20)
    assert passed.dtype == bool
    jets = read_jets(files)
    of_gluons = (jets.label == "gluon").to_numpy() & (jets.pt > 1.1).to_numpy()
    assert passed[of_gluons].mean() == pytest.approx(0.2, abs=0.05)
    assert not passed[(jets.pt <= 1.1).to_numpy()].any()
    path.write_text(path.read_text().replace('"quark"', '"top"'))
    code, _, err = run("tag", *files, "--tagger", folder, "--working-point", path, "-o", tmp_path / "t.root")
    assert code == 2
    assert "which is about the class 'top'; the tagger knows gluon, quark" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a tagger with --tagger FOLDER, or scores with --scores FILE:BRANCH"),
        (["--scores", "jet_pt", "--signal", "quark", "--working-point", "efficiency=0.5"], "name the folder"),
        (
            ["--scores", "jet_pt", "--signal", "quark", "--bins", "pt", "-o", "r"],
            "write FIELD:NUMBER,..., such as pt:10",
        ),
        (["--scores", "jet_pt", "--signal", "q", "--fractions", "x", "-o", "r"], "write CLASS:NUMBER"),
        (["--scores", "jet_pt", "--signal", "quark", "--against", "ptt", "-o", "r"], "closest: 'pt'"),
    ],
)
def test_evaluate_refuses_what_makes_no_sense(run, files, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("evaluate", files[0], "--schema", "hepnn", *arguments)
    assert code == 2
    assert message in err


def test_scores_of_others_need_no_tagger(run, files):
    code, out, _ = run("evaluate", *files, "--scores", "momentum=jet_pt", "--signal", "quark", "--json")
    assert code == 0
    (matchup,) = json.loads(out)["matchups"]
    jets = read_jets(files)
    quark, gluon = (jets.pt[jets.label == name].to_numpy() for name in ("quark", "gluon"))
    expected = (quark[:, None] > gluon).mean()
    assert matchup["separations"]["momentum"]["auc"]["value"] == pytest.approx(expected, abs=1e-6)


def test_export_writes_a_model_and_what_it_is_to_be_fed(run, folder, tmp_path):
    target = tmp_path / "tagger.onnx"
    code, out, _ = run("export", folder, "--onnx", target)
    assert code == 0
    assert f"{target}: inputs particles, particles_mask, output probabilities of gluon, quark" in out
    assert target.read_bytes() == (Path(folder) / "model.onnx").read_bytes()
    assert run("export", folder, "--onnx", target)[0] == 7
    code, out, _ = run("export", folder, "--onnx", target, "--float-masks", "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["particles_mask"]["dtype"] == "float32"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocess.json", "tagger.onnx"]


def test_generate_toy_makes_jets_that_train_and_tag(run, tmp_path):
    toys = tmp_path / "toys.root"
    assert run("generate", "toy", "--jets", "400", "-o", toys, "--seed", "3")[0] == 0
    code, _, err = run("train", toys, "-o", tmp_path / "tagger", *QUICK)
    assert code == 0, err
    assert "schema jetclass" in err
    code, out, _ = run("evaluate", toys, "--tagger", tmp_path / "tagger", "--json")
    assert {part["background"] for part in json.loads(out)["separations"]} == {"QCD"}


def test_nothing_is_overwritten_unless_asked(run, files, folder, tmp_path):
    output = tmp_path / "scores.root"
    output.write_text("precious")
    code, out, err = run("tag", files[0], "--tagger", folder, "-o", output)
    assert (code, out) == (7, "")
    assert "which exists already" in err
    assert output.read_text() == "precious"
    assert run("tag", files[0], "--tagger", folder, "-o", output, "--overwrite")[0] == 0
    code, _, err = run("train", *files, "-o", folder, *QUICK)
    assert code == 7
    assert "exists already" in err
    picture = tmp_path / "roc.png"
    picture.write_text("precious")
    assert run("evaluate", files[0], "--tagger", folder, "-o", picture)[0] == 7


def test_an_output_that_failed_leaves_nothing_behind(run, files, folder, tmp_path):
    damaged = tmp_path / "damaged.root"
    data = bytearray(Path(files[1]).read_bytes())
    with uproot.open(files[1]) as file:
        seek = int(file["tree"]["part_px"].member("fBasketSeek")[0])
    data[seek + 100 : seek + 200] = bytes(100)
    damaged.write_bytes(data)
    code, _, err = run("tag", files[0], damaged, "--tagger", folder, "-o", tmp_path / "scores.root")
    assert code == 3
    assert "damaged.root" in err
    assert "'part_px'" in err
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.root"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tag", "nowhere.root", "--tagger", "FOLDER", "-o", "x.root"], 3, "there is no such file"),
        (["tag", "FILE", "--tagger", "nowhere", "-o", "x.root"], 6, "found no tagger.json"),
        (["tag", "FILE", "--tagger", "FOLDER", "-o", "x.root", "--schema", "jetclass"], 3, "needs the branch"),
        (["export", "nowhere", "--onnx", "x.onnx"], 6, "found no tagger.json"),
        (["train", "FILE", "-o", "x", "--schema", "nope"], 4, "none built in"),
        (["train", "FILE", "-o", "x", "--features", "color"], 5, "asked for the feature 'color'"),
        (["train", "FILE", "-o", "x", "--model", "transformer"], 2, "asked for the model 'transformer'"),
        (["train", "nowhere.root", "-o", "x", "--model", "transformer"], 2, "asked for the model 'transformer'"),
        (["train", "nowhere.root", "-o", "x", "--features", "color"], 5, "asked for the feature 'color'"),
        (["train", "nowhere.root", "-o", "x", "--epochs", "0"], 2, "asked for epochs=0"),
        (["train", "FILE", "FILE", "-o", "x", "--max-jets", "1"], 2, "they are all of one class. Leave --max-jets out"),
        (["train", "FILE", "-o", "x", "--option", "units"], 2, "write name=value"),
        (["train", "FILE", "-o", "x", "--option", "unit=3"], 2, "asked for the option 'unit'"),
        (["train", "FILE", "-o", "x", "--weight", "mc"], 2, "asked for weights in the field 'mc'"),
        (["train", "FILE", "-o", "x", "--augment", "blur"], 2, "asked for the augmentation 'blur'"),
        (["evaluate", "FILE", "--tagger", "FOLDER", "--signal", "top"], 2, "asked for the signal 'top'"),
        (["evaluate", "FILE", "--tagger", "FOLDER", "-o", "roc.txt"], 7, r".png"),
        (["tag", "FILE", "--tagger", "FOLDER", "-o", "x.root", "--custom", "no.such:thing"], 2, "No module named"),
        (["tag", "FILE", "--tagger", "FOLDER", "-o", "x.root", "--part", "3"], 2, "'3' is no share; write i/n"),
        (["tag", "FILE", "--tagger", "FOLDER", "-o", "x.root", "--part", "3/2"], 2, "asked for the share 3/2"),
        (["tag", "FILE", "--tagger", "FOLDER", "-o", "x.csv", "--part", "1/2"], 2, "Name the file *.parquet or *.root"),
        (["merge", "nowhere.parts"], 2, "job.json cannot be read"),
        (["tagg"], 2, "No such command"),
        (["train"], 2, "Missing argument"),
    ],
)  # fmt: skip
def test_mistakes_get_a_message_and_an_exit_code(run, files, folder, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    places = {"FILE": files[0], "FOLDER": folder}
    found, out, err = run(*(places.get(argument, argument) for argument in arguments))
    assert message in err
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_says_so_and_nothing_else(run, files, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(TaggerClass, "fit", interrupted)
    code, _, err = run("train", files[0], "-o", tmp_path / "tagger")
    assert code == 130
    assert err.endswith("interrupted\n")


def test_help_loads_neither_tensorflow_nor_the_file_readers():
    code = (
        "import sys; from hepnn.cli import cli\n"
        "try: cli(['train', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'uproot', 'awkward', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_reading_and_loading_a_tagger_do_not_load_tensorflow(files, folder):
    code = (
        "import sys, hepnn\n"
        f"hepnn.read_jets({files!r}); hepnn.Tagger.load({folder!r})\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_has_a_help_with_an_example():
    def check(command, path):
        assert command.help, path
        if isinstance(command, click.Group):
            for name, part in command.commands.items():
                check(part, f"{path} {name}")
        else:
            assert f"Example: {path}" in command.help, path

    check(cli, "hepnn")


def test_observers_and_nested_scores_can_be_written_from_python(tmp_path):
    scores = ak.unflatten(ak.Array([{"quark": 0.9}, {"quark": 0.2}, {"quark": 0.4}]), [2, 0, 1])
    path = hepnn.write_scores(tmp_path / "scores.root", scores, observers={"run": np.array([1, 2, 3])}, prefix="Jet_")
    with uproot.open(path) as file:
        assert file["hepnn"]["Jet_quark"].array().tolist() == [[0.9, 0.2], [], [0.4]]
        assert file["hepnn"]["run"].array().tolist() == [1, 2, 3]


def test_an_interrupted_training_is_kept_and_goes_on_with_resume_only(run, files, tmp_path, monkeypatch):
    from hepnn.training import _BestWeights

    output, options = tmp_path / "tagger", ["--features", "log_pt", *QUICK[2:], "--epochs", "2"]
    whole = _BestWeights.on_epoch_end

    def interrupted(self, epoch, logs=None):
        whole(self, epoch, logs)
        raise KeyboardInterrupt

    monkeypatch.setattr(_BestWeights, "on_epoch_end", interrupted)
    code, _, err = run("train", files[0], "-o", output, *options)
    assert code == 130
    assert "go on with --resume" in err
    monkeypatch.setattr(_BestWeights, "on_epoch_end", whole)
    code, _, err = run("train", files[0], "-o", output, *options)
    assert code == 7
    assert "was interrupted" in err
    code, _, err = run("train", files[0], "-o", output, *options, "--resume", "--learning-rate", "0.5")
    assert code == 6
    assert "learning_rate = 0.002, this one has 0.5" in err
    code, _, err = run("train", files[0], "-o", output, *options, "--resume")
    assert code == 0
    assert "epoch 2/2" in err
    assert "epoch 1/2" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["tagger"]


def test_a_target_that_cannot_be_written_is_refused_before_training(run, files, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    code, _, err = run("train", files[0], "-o", tmp_path / "thesis", *QUICK, "--force")
    assert code == 7
    assert "epoch" not in err
    assert run("train", files[0], "-o", tmp_path / "new" / "tagger", *QUICK)[0] == 0
