"""Fewer bits: other numbers in the network, nearly the same scores."""

import json
import logging

import numpy as np
import onnx
import pytest

from hepnn import Tagger, bench, toy_jets
from hepnn.cli import cli
from hepnn.errors import InputError
from hepnn.precision import PRECISIONS, lowered


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    return trained.save(tmp_path_factory.mktemp("precise") / "tagger")


def operators(content):
    return {node.op_type for node in onnx.load_from_string(content).graph.node}


def test_products_are_of_integers(trained, caplog):
    with caplog.at_level(logging.WARNING):
        fewer = lowered(trained.onnx_, precision="int8")
    assert "MatMulInteger" in operators(fewer)
    assert "MatMulInteger" not in operators(trained.onnx_)
    assert not caplog.records
    assert lowered(trained.onnx_, precision="float32") == trained.onnx_


def test_scores_with_fewer_bits_are_nearly_the_same(trained, folder, jets):
    rough = Tagger.load(folder, precision="int8").predict_proba(jets)
    exact = trained.predict_proba(jets)
    assert 0 < np.abs(rough - exact).max() < 0.05
    np.testing.assert_array_equal(Tagger.load(folder).predict_proba(jets), exact)


def test_an_unknown_precision_is_refused(folder):
    with pytest.raises(InputError, match="asked for the precision 'int4'; known: float32, int8"):
        Tagger.load(folder, precision="int4")


def test_what_is_trained_anew_scores_exactly(folder, jets, tmp_path):
    tagger = Tagger.load(folder, precision="int8")
    rough = tagger.predict_proba(jets)
    tagger.set_params(epochs=1).fit(jets)
    exact = Tagger.load(tagger.save(tmp_path / "tagger")).predict_proba(jets)
    np.testing.assert_array_equal(tagger.predict_proba(jets), exact)
    assert (exact != rough).any()


def test_bench_measures_gain_and_cost(tmp_path, capsys):
    from hepnn import generate_toy

    path = generate_toy(tmp_path / "toy.root", 200, seed=1)
    small = {"encoder": (8,), "units": (8,), "head_units": (8,)}
    tagger = Tagger(model_options=small, epochs=1, schema="jetclass").fit(toy_jets(300, seed=2))
    tagger.save(tmp_path / "tagger")
    found = bench(path, tagger, training=False, precision="int8")
    assert found.lower.scoring > 0
    assert 0 < found.lower.largest_change < 0.1
    assert abs(found.lower.auc_change) < 0.05
    command = ["bench", str(path), "--tagger", str(tmp_path / "tagger"), "--no-training", "--precision", "int8"]
    cli.main(command, standalone_mode=False)
    assert "scoring with int8: " in capsys.readouterr().out
    cli.main([*command, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["lower"]["precision"] == PRECISIONS[1]
