"""The evaluation's folder: a page that needs nothing else, all numbers as JSON, and what to beware of first."""

import itertools
import json
import os
import shutil

import awkward as ak
import numpy as np
import pytest

from hepnn import Tagger, evaluation_page, read_jets
from hepnn.assessment import assess, elsewhere
from hepnn.cautions import warnings_of, warnings_of_others
from hepnn.errors import InputError, OutputError
from hepnn.evaluation import evaluate
from hepnn.evaluation_page import write_evaluation
from hepnn.evaluation_pictures import About
from hepnn.friends import Rating
from hepnn.generators import generate_toy
from hepnn.judging import Sample
from hepnn.roc import auc_difference
from hepnn.working_points import find_working_point
from tests.browser import BROWSER, browser
from tests.conftest import make_jets
from tests.crashes import content, unfinished

N = 600
COLUMNS = ("pt", "abs_eta")


def imagined(*, seed=0):
    """Jets, and three taggers of them: two with probabilities, one with a single score."""
    jets = make_jets(N, seed=seed)
    rng = np.random.default_rng(seed)
    labels = jets.label.to_numpy()
    is_quark = labels == "quark"
    ratings = {}
    for name, noise in (("sharp", 0.6), ("dull", 1.5)):
        p = 1 / (1 + np.exp(-3 * (is_quark - 0.5) - rng.normal(0, noise, N)))
        ratings[name] = Rating(("gluon", "quark"), np.stack([1 - p, p], axis=1))
    ratings["other"] = Rating((), 7.0 * is_quark + rng.normal(0, 5, N))
    columns = {
        "pt": ak.to_numpy(jets.pt),
        "abs_eta": np.abs(ak.to_numpy(jets.eta)),
        "mass": rng.gamma(4, 20, N),
    }
    return Sample(labels, ratings, columns, jets, N)


@pytest.fixture(scope="module")
def sample():
    return imagined()


@pytest.fixture(scope="module")
def assessment(sample):
    return assess(sample, signal="quark", background="gluon", against=COLUMNS, mass="mass")


@pytest.fixture(scope="module")
def folder(sample, assessment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "report"
    rating = sample.ratings["sharp"]
    point = find_working_point(
        sample.labels, rating.values, classes=rating.classes, signal="quark", background="gluon", mistag=0.1
    )
    about = About({"files": ["test.root:tree"], "schema": "hepnn"}, {}, ("x.root was left out: <b>damaged</b>",))
    write_evaluation(assessment, sample, folder, about=about, working_points={point.name: point})
    return folder


def test_the_folder_holds_page_numbers_pictures_and_working_points(folder):
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "results.json",
        "pictures",
        "quark_mistag_10.json",
    }
    names = {path.suffix for path in (folder / "pictures").iterdir()}
    assert names == {".png", ".pdf"}


def test_the_numbers_are_those_of_the_functions(folder, sample):
    results = json.loads((folder / "results.json").read_text())
    alone = evaluate(
        sample.labels, sample.ratings["dull"].values, ("gluon", "quark"), signal="quark", background="gluon"
    )
    assert results["taggers"]["dull"] == alone.to_dict()
    (matchup,) = results["matchups"]
    assert list(matchup["separations"]) == ["sharp", "dull", "other"]
    assert matchup["separations"]["dull"]["auc"] == alone.separations[0].auc.to_dict()
    difference = auc_difference(
        sample.labels == "quark", sample.ratings["other"].values, sample.ratings["sharp"].values[:, 1]
    )
    assert matchup["less_the_first"]["other"]["auc"] == pytest.approx(difference.to_dict())
    assert set(matchup["passing_at_half_the_signal"]) == set(COLUMNS)
    shares = matchup["passing_at_half_the_signal"]["pt"]["quark"]["sharp"]["value"]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert results["versions"]["hepnn"]
    assert results["n_jets"] == {name: int((sample.labels == name).sum()) for name in ("gluon", "quark")}


def test_the_page_begins_with_what_to_beware_of(folder):
    text = (folder / "report.html").read_text()
    assert text.index("Beware") < text.index("Numbers") < text.index("ROC")
    assert "There are few jets of gluon (" in text
    assert "&lt;b&gt;damaged&lt;/b&gt;" in text


def test_negative_and_uneven_weights_and_unsure_probabilities_are_warned_of(sample):
    weights = np.where(np.arange(N) % 10, 0.1, 20.0) * np.where(np.arange(N) % 7, 1, -0.01)
    made = assess(sample, signal="quark", background="gluon", weights=weights)
    text = " ".join(warnings_of(made, sample, weights=weights))
    for words in ("of the weights are negative", "few carry most of the weight", "There are few jets"):
        assert words in text
    sure = {"sure": Rating(("gluon", "quark"), np.where(sample.ratings["dull"].values > 0.5, 0.999, 0.001))}
    text = " ".join(warnings_of(assess(sample._replace(ratings=sure)), sample))
    assert "The probabilities of sure are off by" in text


def test_a_single_score_needs_a_signal_to_be_high_for(sample):
    alone = sample._replace(ratings={"other": sample.ratings["other"]})
    with pytest.raises(
        InputError, match="the scores other on jets of gluon, quark; name the class that they are high for"
    ):
        assess(alone)
    with pytest.raises(InputError, match=r"the scores other are one number a jet. Give a tagger"):
        assess(alone, signal="quark", fractions={"gluon": 1.0})
    (matchup,) = assess(alone, background="quark").matchups
    assert (matchup.signal, matchup.background) == ("gluon", "quark")
    three = sample._replace(labels=np.where(np.arange(N) % 3, sample.labels, "top"))
    many = Rating(("gluon", "quark", "top"), np.full((N, 3), 1 / 3))
    three = three._replace(ratings={"many": many, "other": sample.ratings["other"]})
    with pytest.raises(InputError, match="one number a jet, for the signals quark, top; name the one"):
        assess(three, background="gluon")


def test_an_earlier_evaluation_is_not_replaced_unasked(folder, sample, assessment):
    with pytest.raises(OutputError, match=r"report.html, which exists. Choose another folder, or add --overwrite"):
        write_evaluation(assessment, sample, folder, about=About({}, {}))


@pytest.mark.skipif(BROWSER is None or os.name != "posix", reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1100, 390], ids=["desk", "phone"])
def test_the_page_opens_in_a_browser_without_a_request_or_complaint(folder, width):
    with browser() as visit:
        visit.open(folder / "report.html", width=width, dark=width < 600)
        pictures = visit.ask("[...document.images].map(each => each.complete && each.naturalWidth > 0)")
        overflow = visit.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        background = visit.ask("getComputedStyle(document.body).backgroundColor")
        assert len(pictures) == len(list((folder / "pictures").glob("*.png")))
        assert all(pictures)
        assert overflow <= 0
        assert background == ("rgb(20, 23, 27)" if width < 600 else "rgb(255, 255, 255)")
        assert visit.requests == []
        assert visit.complaints == []


def test_other_jets_show_what_was_learned_by_heart(sample, assessment):
    easy = imagined(seed=5)
    p = np.where(easy.labels == "quark", 0.9, 0.1) + np.random.default_rng(5).normal(0, 0.01, N)
    by_heart = easy._replace(ratings={"dull": Rating(("gluon", "quark"), np.stack([1 - p, p], axis=1))})
    same = imagined(seed=6)
    here = next(iter(assessment.matchups)).separations
    for other, learned in ((by_heart, True), (same._replace(ratings={"dull": same.ratings["dull"]}), False)):
        (row,) = elsewhere(assessment, assess(other, signal="quark", background="gluon"))
        assert (row.tagger, row.signal, row.background) == ("dull", "quark", "gluon")
        assert row.more.value == pytest.approx(row.auc.value - here["dull"].auc.value)
        assert row.more.error == pytest.approx(np.hypot(row.auc.error, here["dull"].auc.error))
        warned = warnings_of_others({"train": [row]})
        assert bool(warned) == learned
        assert not learned or "by heart" in warned[0]


def test_the_command_compares_with_the_jets_of_the_training(run, tmp_path):
    generate_toy(tmp_path / "train.root", 300, seed=1, classes=["Hbb", "QCD"])
    generate_toy(tmp_path / "test.root", 300, seed=2, classes=["Hbb", "QCD"])
    jets = read_jets(tmp_path / "train.root")
    Tagger("deepsets", features=["kinematics"], epochs=1, schema="jetclass").fit(jets).save(tmp_path / "tagger")
    asked = ("evaluate", tmp_path / "test.root", "--tagger", tmp_path / "tagger", "--signal", "Hbb")
    code, _, err = run(*asked, "--other", "train=x.root")
    assert code == 2
    assert "-o FOLDER/" in err
    assert run(*asked, "--other", f"train={tmp_path / 'train.root'}", "-o", f"{tmp_path}/report/")[0] == 0
    (row,) = json.loads((tmp_path / "report/results.json").read_text())["others"]["train"]
    assert (row["signal"], row["background"]) == ("Hbb", "QCD")
    page = (tmp_path / "report/report.html").read_text()
    assert "Other jets" in page
    assert "<td>train</td>" in page


def test_taggers_are_called_by_their_folder_and_none_is_compared_with_itself(run, tmp_path):
    jets = make_jets(200)
    tagger = Tagger("deepsets", features=["kinematics"], epochs=1).fit(jets)
    folders = [tagger.save(tmp_path / part / "sets") for part in "ab"]
    generate_toy(tmp_path / "test.root", 200, classes=["Hbb", "QCD"])
    several = [word for folder in folders for word in ("--tagger", folder)]
    code, _, err = run("evaluate", tmp_path / "test.root", *several, "--tagger", folders[0], "--signal", "quark")
    assert code == 2
    assert "with itself" in err


def test_an_earlier_evaluation_stays_until_the_new_one_is_complete(folder, assessment, sample, tmp_path, monkeypatch):
    there = tmp_path / "report"
    shutil.copytree(folder, there)
    (there / "notes.txt").write_text("of the reader")
    before = content(there)

    def write(beside=None):
        write_evaluation(assessment, sample, there, about=About({}, {}), beside=beside, overwrite=True)

    def interrupted(part):
        assert (part / "results.json").exists()
        raise KeyboardInterrupt

    real = evaluation_page.pictures_of
    monkeypatch.setattr(evaluation_page, "pictures_of", lambda *of: itertools.islice(real(*of), 2))
    with pytest.raises(KeyboardInterrupt):
        write(beside=interrupted)
    assert content(there) == before
    assert unfinished(there) == []
    write()
    after = content(there)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] == before[name]} > {"notes.txt", "quark_mistag_10.json"}
    assert after["results.json"] != before["results.json"]
