"""Taggers and boosted trees among the tools of scikit-learn, with jets for samples."""

import awkward as ak
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from hepnn import BoostedTrees, Tagger
from tests.conftest import make_jets

SMALL = {"encoder": (6,), "units": (6,), "head_units": (6,)}


def quick_tagger(**settings):
    return Tagger("deepsets", model_options={"encoder": (6,), "head_units": (6,)}, features=["log_pt"], epochs=1,
                  batch_size=64, n_buckets=1, **settings)  # fmt: skip


ESTIMATORS = {"tagger": quick_tagger, "trees": lambda: BoostedTrees(("n_particles", "girth"), max_iter=5)}


@pytest.fixture(scope="module")
def few():
    return make_jets(240, seed=4)


@pytest.fixture(scope="module")
def y(few):
    return few.label.to_numpy()


@pytest.fixture(params=ESTIMATORS)
def estimator(request):
    return ESTIMATORS[request.param]()


def test_parameters_are_set_and_cloned(estimator):
    (name, value) = ("max_particles", 7) if isinstance(estimator, Tagger) else ("max_iter", 7)
    copy = clone(estimator).set_params(**{name: value})
    assert copy.get_params() == {**estimator.get_params(), name: value}
    with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        estimator.set_params(colour="blue")


def test_the_number_of_features_is_that_of_what_is_seen_of_a_jet(few):
    tagger = quick_tagger(jet_features=["girth", "n_particles"])
    assert not hasattr(tagger, "n_features_in_")
    assert tagger.fit(few).n_features_in_ == 3  # log_pt of each particle, two of the jet
    assert ESTIMATORS["trees"]().fit(few).n_features_in_ == 2


def test_cross_validation_with_stratified_folds_and_any_scorer(estimator, few, y):
    folds = StratifiedKFold(2, shuffle=True, random_state=1)
    found = cross_validate(estimator, few, y, cv=folds, scoring=["accuracy", "roc_auc", "neg_log_loss"])
    assert found["test_roc_auc"].shape == (2,)
    assert np.isfinite([found[f"test_{name}"] for name in ("accuracy", "roc_auc", "neg_log_loss")]).all()


def test_folds_by_event_number_keep_events_together(few, y):
    """GroupKFold is the splitter that keeps events together."""
    numbers = np.repeat(np.arange(80), 3)  # three jets an event
    folds = list(GroupKFold(4).split(few, y, groups=numbers))
    assert all(not set(numbers[train]) & set(numbers[test]) for train, test in folds)
    predicted = cross_val_predict(
        ESTIMATORS["trees"](), few, y, groups=numbers, cv=GroupKFold(4), method="predict_proba"
    )
    train, test = folds[2]
    alone = ESTIMATORS["trees"]().fit(few[train], y[train]).predict_proba(few[test])
    np.testing.assert_array_equal(predicted[test], alone)


def test_a_grid_search_finds_the_better_setting(few, y):
    search = GridSearchCV(BoostedTrees(max_iter=5), {"observables": [("jet_log_pt",), ("n_particles",)]}, cv=2).fit(
        few, y
    )
    assert search.best_params_ == {"observables": ("n_particles",)}
    tried = GridSearchCV(quick_tagger(), {"features": [["log_pt"], ["log_energy"]]}, cv=2).fit(few, y)
    assert tried.predict_proba(few).shape == (240, 2)


def central(jets):
    return ak.with_field(jets, jets.particles[abs(jets.particles.eta) < 1.5], "particles")


def test_a_pipeline_prepares_the_jets(estimator, few, y):
    piped = Pipeline([("central", FunctionTransformer(central)), ("tag", estimator)]).fit(few, y)
    alone = clone(estimator).fit(central(few), y)
    np.testing.assert_array_equal(piped.predict_proba(few), alone.predict_proba(central(few)))
    assert piped.score(few, y) == alone.score(central(few), y)


def test_probabilities_are_calibrated(estimator, few, y):
    calibrated = CalibratedClassifierCV(estimator, cv=2).fit(few, y)
    found = calibrated.predict_proba(few)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (calibrated.classes_ == ["gluon", "quark"]).all()
    after = CalibratedClassifierCV(FrozenEstimator(clone(estimator).fit(few, y)), method="isotonic").fit(few, y)
    losses = [-get_scorer("neg_log_loss")(each, few, y) for each in (after, after.estimator)]
    assert losses[0] < losses[1]


def test_sample_weights_are_routed(estimator, few, y):
    """Where gluons weigh next to nothing, all is quark; unless the weights are not asked for."""
    weights = np.where(y == "gluon", 1e-3, 1.0)
    if isinstance(estimator, Tagger):
        estimator.set_params(epochs=4, learning_rate=0.05)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator.set_score_request(sample_weight=True)
        folds = {"cv": 2, "params": {"sample_weight": weights}}
        weighted = clone(estimator).set_fit_request(sample_weight=True)
        plain = clone(estimator).set_fit_request(sample_weight=False)
        assert cross_val_score(weighted, few, y, **folds).mean() > 0.95
        assert cross_val_score(plain, few, y, **{**folds, "params": {}}).mean() < 1
        piped = Pipeline([("tag", weighted)]).fit(few, y, sample_weight=weights)
        with pytest.raises(TypeError, match="not routed to any object"):
            Pipeline([("tag", plain)]).fit(few, y, sample_weight=weights)
    assert (piped.predict(few) == "quark").mean() > 0.95 > (plain.fit(few, y).predict(few) == "quark").mean()


def test_calling_trees_nests_like_the_jets(few):
    trees = ESTIMATORS["trees"]().fit(few)
    counts = np.array([2, 0, 238])
    nested = trees(ak.unflatten(few, counts))
    assert ak.num(nested).tolist() == counts.tolist()
    np.testing.assert_array_equal(ak.flatten(nested.gluon), trees.predict_proba(few)[:, 0])
