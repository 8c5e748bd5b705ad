"""The demo on a few of the bundled jets; the whole of it is the README's first command."""

import json

import pytest
import uproot

from hepnn import Tagger, read_jets
from hepnn.demo import bundled_jets, run_demo
from hepnn.errors import OutputError

N_JETS = 2000


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "results", epochs=2, max_jets=N_JETS)


def test_it_writes_what_its_last_line_says(demo):
    names = {path.name for path in demo.folder.iterdir()}
    assert names == {"tagger", "scores.root", "roc.png", "training.png"}
    for name in names:
        assert name in demo.closing()
    assert "hepnn tag" in demo.closing()


def test_both_taggers_beat_chance_by_far_on_held_out_jets(demo):
    assert set(demo.results) == {"boosted trees", "masked GRU"}
    for name, result in demo.results.items():
        (part,) = result.separations
        assert (part.signal, part.background) == ("quark", "gluon")
        assert part.n_signal + part.n_background == N_JETS // 4
        assert part.auc.value > 0.75, name


def test_every_bundled_jet_has_a_score_and_the_tagger_loads(demo):
    with uproot.open(demo.tagged.path) as file:
        assert file["hepnn"].num_entries == demo.tagged.n_entries == len(read_jets(bundled_jets()))
    assert Tagger.load(demo.folder / "tagger").read_schema().name == "hepnn"


def test_its_result_is_json(demo):
    result = json.loads(json.dumps(demo.to_dict(), allow_nan=False))
    assert result["n_entries"] == demo.tagged.n_entries


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"asked to write to the folder .*file; .*Choose another with -o"):
        run_demo(tmp_path / "file")
