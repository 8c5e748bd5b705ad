"""Boosted trees on disk: an ONNX model that gives what scikit-learn gives."""

import pickle

import numpy as np
import pytest

from hepnn import BoostedTrees
from hepnn.errors import FeatureError, OutputError, TaggerError
from tests.conftest import make_jets


def leading(jets):
    """An observable of one's own."""
    return jets.pt * 1e-3


@pytest.fixture(scope="module")
def few():
    return make_jets(400, seed=8)


@pytest.fixture(scope="module", params=[2, 3])
def trees(request, few):
    """Trees for two classes, which have one score, and for three."""
    y = few.label.to_numpy()
    y = y if request.param == 2 else np.where(few.pt.to_numpy() > 530, "other", y)
    return BoostedTrees(["n_particles", "girth", leading], max_iter=20, learning_rate=0.3).fit(few, y)


def test_saved_trees_give_the_same_probabilities(trees, few, tmp_path):
    path = trees.save(tmp_path / "trees.onnx")
    loaded = BoostedTrees.load(path, custom=[leading])
    np.testing.assert_allclose(loaded.predict_proba(few), trees.predict_proba(few), atol=2e-6)
    assert (loaded.predict(few) == trees.predict(few)).all()
    assert loaded.get_params()["learning_rate"] == 0.3
    assert loaded.n_features_in_ == 3
    again = pickle.loads(pickle.dumps(loaded))  # our own bytes
    np.testing.assert_array_equal(again.predict_proba(few), loaded.predict_proba(few))
    assert loaded.save(tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_every_value_goes_the_way_it_goes_in_scikit_learn(few):
    """Values on a threshold, and next to it: a threshold that was rounded up would send some the other way."""
    values = np.sort(np.random.default_rng(0).normal(size=300).astype(np.float32))
    trees = BoostedTrees(["n_particles"], max_iter=5).fit(few)
    trees.trees_.fit(values[:, None], np.random.default_rng(1).random(300) < 0.5)
    found = {float(t) for step in trees.trees_._predictors for tree in step for t in tree.nodes["num_threshold"]}
    near = np.array([np.nextafter(np.float32(t), np.float32(way)) for t in found for way in (-9, t, 9)], np.float32)[
        :, None
    ]
    from hepnn.forests import INPUT, forest_model, probabilities_of
    from hepnn.runtime import Session

    raw = Session(forest_model(trees.trees_, metadata={})).run({INPUT: near})
    np.testing.assert_allclose(probabilities_of(raw), trees.trees_.predict_proba(near), atol=2e-6)


def test_what_cannot_be_loaded_is_named(trees, tmp_path):
    path = trees.save(tmp_path / "trees.onnx")
    with pytest.raises(FeatureError, match="the feature 'leading', which is not hepnn's"):
        BoostedTrees.load(path)
    with pytest.raises(OutputError, match="exists already"):
        trees.save(path)
    with pytest.raises(TaggerError, match=r"asked for the boosted trees in .*nowhere.onnx; No such file"):
        BoostedTrees.load(tmp_path / "nowhere.onnx")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(TaggerError, match="asked for the boosted trees in"):
        BoostedTrees.load(path, custom=[leading])
    path.write_text("no model")
    with pytest.raises(TaggerError, match="they do not have their checksum"):
        BoostedTrees.load(path)
    with pytest.raises(TaggerError, match="not grown yet"):
        BoostedTrees().save(tmp_path / "new.onnx")
