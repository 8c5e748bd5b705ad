"""`bench` measures every stage, names the slowest, and changes nothing."""

import json

import pytest

from hepnn import bench, generate_toy, toy_jets
from hepnn.cli import cli
from hepnn.errors import InputError
from hepnn.tagger import Tagger
from hepnn.throughput import Throughput

SMALL = {"encoder": (8,), "units": (8,), "head_units": (8,)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    generate_toy(folder / "toy.root", 300, seed=1)
    tagger = Tagger(model_options=SMALL, epochs=1, batch_size=64, schema="jetclass").fit(toy_jets(300, seed=2))
    tagger.save(folder / "tagger")
    return folder, tagger


def test_every_stage_is_measured_and_the_tagger_stays_as_it_is(made):
    folder, tagger = made
    before = {path: value.copy() for path, value in tagger.weights_.items()}
    found = bench(folder / "toy.root", tagger, max_jets=200)
    assert found.n_jets == 200
    assert min(found.reading, found.features, found.scoring, found.training) > 0
    for (path, value), after in zip(before.items(), tagger.model_.get_weights(), strict=True):
        assert (tagger.weights_[path] == value).all()
        assert (after == value).all()


@pytest.mark.parametrize("stage", ["reading", "features", "scoring"])
def test_the_slowest_stage_is_the_bottleneck_of_tagging(stage):
    rates = {"reading": 9.0, "features": 9.0, "scoring": 9.0, stage: 2.0}
    assert Throughput(1, 1.0, 1, **rates, training=1.0).slowest_of_tagging == stage


def test_the_slowest_stage_is_the_bottleneck_of_training():
    assert Throughput(1, 1.0, 1, 5.0, 4.0, 1.0, 3.0).slowest_of_training == "training"
    assert Throughput(1, 1.0, 1, 5.0, 4.0, 1.0, 4.5).slowest_of_training == "features"


def test_no_jets_are_refused(made):
    folder, tagger = made
    with pytest.raises(InputError, match="asked how fast jets are tagged; found none"):
        bench(folder / "toy.root", tagger, max_jets=0)


def test_the_command_prints_the_stages(made, capsys):
    folder, _ = made
    command = ["bench", str(folder / "toy.root"), "--tagger", str(folder / "tagger"), "--no-training"]
    cli.main(command, standalone_mode=False)
    out = capsys.readouterr().out
    assert "bottleneck of tagging: " in out
    assert "training" not in out
    cli.main([*command, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["training"] is None
