"""The tagger as a user meets it: fit, score, save, load, and what it refuses."""

import json
import pickle

import awkward as ak
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from hepnn import BoostedTrees, Tagger
from hepnn.clouds import cloud_for
from hepnn.errors import FeatureError, InputError, OutputError, TaggerError
from hepnn.features import Feature
from tests.conftest import make_jets, resealed

SMALL = {"encoder": (8,), "units": (8,), "head_units": (8,)}
QUICK = {"model_options": SMALL, "epochs": 1, "batch_size": 64, "n_buckets": 2}


@pytest.fixture(scope="module")
def others():
    """Jets that no training saw."""
    return make_jets(500, seed=99)


def test_it_learns(trained, others):
    auc = roc_auc_score(others.label.to_numpy() == "quark", trained.predict_proba(others)[:, 1])
    assert trained.classes_.tolist() == ["gluon", "quark"]
    assert auc > 0.85


def test_probabilities_sum_to_one_and_are_finite(trained, others):
    probabilities = trained.predict_proba(others)
    assert probabilities.shape == (500, 2)
    assert np.isfinite(probabilities).all()  # the first jet is empty
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_shuffled_jets_get_shuffled_scores(trained, others):
    order = np.random.default_rng(0).permutation(len(others))
    np.testing.assert_allclose(trained.predict_proba(others[order]), trained.predict_proba(others)[order], atol=1e-6)


def test_scores_do_not_depend_on_the_company(trained, others):
    alone = np.concatenate([trained.predict_proba(others[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(alone, trained.predict_proba(others)[:10], atol=1e-6)


def test_calling_gives_records_that_nest_like_the_jets(trained, others):
    flat = trained(others[:6])
    assert flat.fields == ["gluon", "quark"]
    np.testing.assert_array_equal(flat.quark, trained.predict_proba(others[:6])[:, 1])
    events = ak.unflatten(others[:6], [2, 0, 3, 1])
    nested = trained(events)
    assert ak.num(nested).tolist() == [2, 0, 3, 1]
    np.testing.assert_allclose(ak.flatten(nested.quark), flat.quark, atol=1e-6)


def test_no_jets_give_no_scores(trained, others):
    assert trained.predict_proba(others[:0]).shape == (0, 2)
    assert len(trained(others[:0])) == 0


def test_predict_and_score_agree_with_the_probabilities(trained, others):
    best = trained.classes_[trained.predict_proba(others).argmax(axis=1)]
    np.testing.assert_array_equal(trained.predict(others), best)
    assert trained.score(others) == np.mean(best == others.label.to_numpy())


def test_save_and_load_keep_the_scores(trained, others, tmp_path):
    folder = trained.save(tmp_path / "tagger")
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "tagger.json", "weights.npz"]
    loaded = Tagger.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(others), trained.predict_proba(others))
    assert loaded.training_ == trained.training_
    assert loaded.classes_.tolist() == trained.classes_.tolist()


def test_a_loaded_tagger_can_be_saved_again(trained, tmp_path):
    first = trained.save(tmp_path / "first")
    second = Tagger.load(first).save(tmp_path / "second")
    descriptions = [json.loads((folder / "tagger.json").read_text()) for folder in (first, second)]
    for description in descriptions:
        del description["checksums"], description["checksum"]  # of zip files, which hold the time
    assert descriptions[0] == descriptions[1]


def test_pickling_and_cloning(trained, others):
    again = pickle.loads(pickle.dumps(trained))  # our own bytes
    np.testing.assert_array_equal(again.predict_proba(others), trained.predict_proba(others))
    fresh = clone(trained)
    assert fresh.get_params() == trained.get_params()
    with pytest.raises(TaggerError, match="not trained yet"):
        fresh.predict(others)


def test_description_is_for_people(trained, tmp_path):
    description = json.loads((trained.save(tmp_path / "tagger") / "tagger.json").read_text())
    assert description["classes"] == ["gluon", "quark"]
    assert description["model"] == {"name": "gru", "options": {k: list(v) for k, v in SMALL.items()}}
    assert description["representation"]["collections"]["particles"]["features"][0] == "log_pt"
    assert description["recipe"]["epochs"] == 6
    assert set(description["versions"]) >= {"hepnn", "keras", "tensorflow"}


def halve_pt(particles, jet):
    return np.log(particles.pt / 2)


def tiny(inputs, n_classes, *, width=4):
    from hepnn.models.deepsets import deepsets

    return deepsets(inputs, n_classes, encoder=(width,), head_units=())


def test_functions_of_ones_own_have_to_be_handed_over_again(jets, others, tmp_path):
    tagger = Tagger(tiny, features=["kinematics", halve_pt], epochs=1, model_options={"width": 5}).fit(jets)
    folder = tagger.save(tmp_path / "tagger")
    with pytest.raises(TaggerError, match=r"has the model 'tiny', which is not hepnn's. Hand over its function"):
        Tagger.load(folder)
    with pytest.raises(TaggerError, match=r"the feature 'halve_pt', which is not hepnn's.*hand it over"):
        Tagger.load(folder, custom=[tiny])
    loaded = Tagger.load(folder, custom=[tiny, halve_pt])
    np.testing.assert_array_equal(loaded.predict_proba(others), tagger.predict_proba(others))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: flip(folder / "weights.npz", 500),
            r"weights.npz has the checksum .* damaged or was changed",
        ),
        (lambda folder: (folder / "weights.npz").unlink(), r"weights.npz cannot be read: .*No such file"),
        (
            lambda folder: (folder / "tagger.json").unlink(),
            r"found no tagger.json \(model.onnx, weights.npz\). Train one",
        ),
        (lambda folder: (folder / "tagger.json").write_text("{"), r"tagger.json cannot be read"),
        (
            lambda folder: (folder / "tagger.json").write_text("[]"),
            r"its format is 'list', this hepnn reads 2 and 3",
        ),
        (
            lambda folder: (folder / "tagger.json").write_text('{"format": 4}'),
            r"its format is 4, this hepnn reads 2 and 3",
        ),
        (
            lambda folder: (folder / "tagger.json").write_text('{"format": 2}'),
            r"not as hepnn writes it \(KeyError",
        ),
    ],
    ids=["flipped-bit", "no-weights", "no-description", "not-json", "not-a-tagger", "newer", "incomplete"],
)
def test_a_damaged_folder_is_refused_by_name(trained, tmp_path, damage, message):
    folder = trained.save(tmp_path / "tagger")
    damage(folder)
    with pytest.raises(TaggerError, match=message):
        Tagger.load(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TaggerError, match=r"found no tagger.json .no such folder."):
        Tagger.load(tmp_path / "nowhere")


def test_weights_of_another_network_are_named(trained, tmp_path):
    folder = trained.save(tmp_path / "tagger")
    resealed(folder / "tagger.json", lambda values: values["model"]["options"].update(units=[9]))
    with pytest.raises(
        TaggerError, match=r"needs \(8, 27\) where the tagger's weights hold \(8, 24\) for 'particles_gru_0/"
    ):
        Tagger.load(folder).model_  # noqa: B018  # builds it


def test_saving_does_not_replace_what_is_there(trained, tmp_path):
    folder = trained.save(tmp_path / "tagger")
    with pytest.raises(OutputError, match="which exists"):
        trained.save(folder)
    trained.save(folder, overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else than a tagger"):
        trained.save(tmp_path / "thesis", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tagger", "thesis"]


def test_class_weights_move_the_scores(jets):
    plain = Tagger(**{**QUICK, "epochs": 3}).fit(jets)
    heavy = Tagger(class_weight={"gluon": 20.0, "quark": 1.0}, **{**QUICK, "epochs": 3}).fit(jets)
    assert heavy.predict_proba(jets)[:, 0].mean() > plain.predict_proba(jets)[:, 0].mean() + 0.1


def test_sample_weights_of_zero_hide_jets(jets):
    """With the gluons weighted away the network learns that all is quark."""
    weights = np.where(jets.label.to_numpy() == "gluon", 1e-6, 1.0)
    tagger = Tagger(**{**QUICK, "epochs": 5, "learning_rate": 0.02}).fit(jets, sample_weight=weights)
    assert tagger.predict_proba(jets)[:, 1].mean() > 0.8


def test_labels_can_be_given_as_y(jets):
    y = (jets.label.to_numpy() == "quark").astype(int)
    tagger = Tagger(**QUICK).fit(jets[["pt", "eta", "phi", "energy", "particles"]], y)
    assert tagger.classes_.tolist() == [0, 1]
    assert 0 <= tagger.score(jets, y) <= 1


def test_validation_jets_can_be_given(jets, others):
    tagger = Tagger(**QUICK).fit(jets, validation=others)
    expected = roc_auc_score(others.label.to_numpy() == "quark", tagger.predict_proba(others)[:, 1])
    assert tagger.training_.history["val_auc"][-1] == pytest.approx(expected, abs=1e-6)


def test_fitted_scaling_is_used_and_kept(jets, tmp_path):
    tagger = Tagger(scaling="fitted", jet_features=["girth"], **QUICK).fit(jets)
    assert tagger.inputs_["jet"].scaling.center[0] != 0.06
    loaded = Tagger.load(tagger.save(tmp_path / "tagger"))
    np.testing.assert_array_equal(loaded.predict_proba(jets), tagger.predict_proba(jets))


def test_truncated_jets_are_counted(jets):
    tagger = Tagger(max_particles=10, **QUICK).fit(jets)
    assert tagger.n_truncated_ == {"particles": int(ak.sum(ak.num(jets.particles) > 10))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: (j[j.label == "quark"], None, None), r"asked to tell classes apart; found quark: \d+"),
        (lambda j: (j[["pt", "eta", "phi", "energy", "particles"]], None, None), "found no field 'label' among pt"),
        (lambda j: (j, np.zeros(3), None), r"one class for each of 600 jets; found the shape \(3,\)"),
        (lambda j: (j, None, np.ones(3)), r"one weight for each of 600 jets; found the shape \(3,\)"),
        (lambda j: (j, None, -np.ones(600)), r"jet 0 has -1.0. With negative weights the loss has no lower bound"),
        (lambda j: (j, None, np.full(600, np.nan)), r"jet 0 has nan"),
        (lambda j: (ak.with_field(j, ak.mask(j.label, j.pt > 510), "label"), None, None), r"\d+ of 600 have none"),
        (lambda j: (j[["pt", "eta", "phi", "particles", "label"]], None, None), "asked for the jet field 'energy'"),
        (lambda j: (j[["pt", "eta", "phi", "energy", "label"]], None, None), "asked for the jets' particles"),
        (lambda j: (ak.unflatten(j, 2), None, None), "one record a jet; found"),
        (lambda j: ([1, 2], None, None), "one record a jet; found list"),
    ],
    ids=[
        "one-class", "no-label", "short-y", "short-weights", "negative-weights", "nan-weights", "missing-labels",
        "no-energy", "no-particles", "nested", "list",
    ],
)  # fmt: skip
def test_jets_it_cannot_train_on_are_refused(jets, change, message):
    changed, y, weights = change(jets)
    with pytest.raises(InputError, match=message):
        Tagger(**QUICK).fit(changed, y, weights)


def test_an_unknown_class_among_validation_jets_is_named(jets, others):
    strange = ak.with_field(
        others, np.where(others.pt.to_numpy() > 520, "top", others.label.to_numpy()).tolist(), "label"
    )
    with pytest.raises(InputError, match="asked for the classes gluon, quark; found jets labelled top"):
        Tagger(**QUICK).fit(jets, validation=strange)


def test_wrong_settings_are_refused(jets):
    with pytest.raises(InputError, match="asked for the scaling 'standard'; known: fixed, fitted"):
        Tagger(scaling="standard", **QUICK).fit(jets)
    with pytest.raises(InputError, match="asked for weights of the classes quark; the jets have gluon, quark"):
        Tagger(class_weight={"quark": 2.0}, **QUICK).fit(jets)
    with pytest.raises(FeatureError, match="asked for the particles field 'd0_error'"):
        Tagger(features="displacement", **QUICK).fit(jets)


def test_jets_without_what_the_tagger_looks_at_are_refused(trained, others):
    bare = ak.with_field(others, others.particles[["pt", "eta", "phi", "energy"]], "particles")
    with pytest.raises(FeatureError, match="feature 'charge': asked for the particles field 'charge'"):
        trained.predict_proba(bare)


def test_boosted_trees_have_the_same_interface(jets, others):
    trees = BoostedTrees(max_iter=50).fit(jets)
    assert trees.classes_.tolist() == ["gluon", "quark"]
    assert trees.predict_proba(others).shape == (500, 2)
    assert trees.score(others) > 0.75
    assert clone(trees).get_params() == trees.get_params()
    with pytest.raises(TaggerError, match="not grown yet"):
        BoostedTrees().predict(others)


def test_a_feature_of_ones_own_is_never_taken_for_a_built_in_one_of_its_name(jets, tmp_path):
    def mass(particles, jet):
        return particles.pt

    own = Feature("log_pt", lambda particles, jet: particles.pt, "GeV", "this test")
    tagger = Tagger(features=[mass, own], **QUICK).fit(jets)
    folder = tagger.save(tmp_path / "tagger")
    with pytest.raises(TaggerError, match="it has the feature 'mass', which is not hepnn's"):
        Tagger.load(folder)
    loaded = Tagger.load(folder, custom=[mass, own])
    np.testing.assert_array_equal(loaded.predict_proba(jets), tagger.predict_proba(jets))


def test_features_of_one_name_or_without_a_name_are_refused(jets):
    def log_pt(particles, jet):
        return particles.pt

    with pytest.raises(FeatureError, match="two different features called 'log_pt'"):
        Tagger(features=["log_pt", log_pt], **QUICK).fit(jets)
    with pytest.raises(FeatureError, match="asked for the feature '<lambda>'; give the function a name"):
        Tagger(features=[lambda particles, jet: particles.pt], **QUICK).fit(jets)


def test_a_model_named_by_module_and_function_can_be_loaded(jets, tmp_path):
    tagger = Tagger("tests.test_tagger:tiny", epochs=1).fit(jets)
    loaded = Tagger.load(tagger.save(tmp_path / "tagger"), custom=[tiny])
    np.testing.assert_array_equal(loaded.predict_proba(jets), tagger.predict_proba(jets))


def test_cross_validation_and_grid_search_take_jets(jets):
    y = jets.label.to_numpy()
    scores = cross_val_score(Tagger(**QUICK), jets, y, cv=2)
    assert scores.shape == (2,)
    assert (scores > 0.3).all()
    search = GridSearchCV(BoostedTrees(), {"max_iter": [5, 10]}, cv=2).fit(jets, y)
    assert search.best_score_ > 0.7


def test_masked_jets_are_refused(trained, others):
    with pytest.raises(InputError, match=r"each with its jets; \d+ of 500 are missing, first jet \d+"):
        trained(ak.mask(others, others.pt > 510))
    hidden = ak.with_field(others, ak.mask(others.particles, others.pt > 510), "particles")
    with pytest.raises(InputError, match=r"each with its particles; \d+ of 500 are missing"):
        trained(hidden)


@pytest.mark.filterwarnings("ignore:there are odd jets")  # of less energy than momentum
def test_the_hardest_reach_the_recurrent_layer_in_any_order(jets):
    options = {**SMALL, "max_steps": 3, "skip": ()}
    for descending in (True, False):
        tagger = Tagger(model_options=options, features=["log_pt"], descending=descending, epochs=1).fit(jets)
        hardest = ak.local_index(jets.particles.pt) == 0
        harder = ak.with_field(jets.particles, ak.where(hardest, 3 * jets.particles.pt, jets.particles.pt), "pt")
        changed = ak.with_field(jets, harder, "particles")
        assert np.abs(tagger.predict_proba(changed) - tagger.predict_proba(jets)).max() > 1e-5


def test_class_weights_survive_saving_whatever_the_classes_are(jets, tmp_path):
    y = (jets.label.to_numpy() == "quark").astype(int)
    tagger = Tagger(class_weight={0: 1.0, 1: 5.0}, **{**QUICK, "epochs": np.int64(1)}).fit(jets, y)
    assert Tagger.load(tagger.save(tmp_path / "tagger")).class_weight == {0: 1.0, 1: 5.0}


def test_validation_jets_can_come_with_classes_and_weights(jets, others):
    y, y_others = ((j.label.to_numpy() == "quark").astype(int) for j in (jets, others))
    tagger = Tagger(**QUICK).fit(jets, y, validation=(others, y_others, np.ones(500)))
    expected = roc_auc_score(y_others, tagger.predict_proba(others)[:, 1])
    assert tagger.training_.history["val_auc"][-1] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="the class '0' has none, or no weight"):
        Tagger(**QUICK).fit(jets, y, validation=(others, y_others, y_others))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "asked for epochs=0; it takes a whole number from 1 on"),
        ({"batch_size": -1}, "asked for batch_size=-1"),
        ({"n_buckets": 0}, "asked for n_buckets=0"),
        ({"seed": -1}, "asked for seed=-1; it takes a whole number from 0 on"),
        ({"validation_fraction": 1.0}, "asked for validation_fraction=1.0; it takes a share"),
        ({"learning_rate": -1.0}, "asked for learning_rate=-1.0"),
        ({"class_weight": {"gluon": -1.0, "quark": 1.0}}, "every weight has to be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(jets, settings, message):
    with pytest.raises(InputError, match=message):
        Tagger(**{**QUICK, **settings}).fit(jets)


def test_an_infinite_weight_is_located(jets):
    weights = np.ones(600)
    weights[7] = np.inf
    with pytest.raises(InputError, match="jet 7 has inf"):
        Tagger(**QUICK).fit(jets, sample_weight=weights)


def test_a_representation_of_ones_own_is_what_the_settings_would_make(jets, tmp_path):
    settings = {"model_options": {"encoder": (6,), "units": (6,), "head_units": (6,)}, "epochs": 1, "seed": 5}
    cloud = cloud_for(
        jets, features=["kinematics"], jet_features=["girth"], max_particles=9, order_by="pt", descending=False
    )
    given = Tagger(representation=cloud, **settings).fit(jets)
    made = Tagger(features=["kinematics"], jet_features=["girth"], max_particles=9, descending=False, **settings).fit(
        jets
    )
    np.testing.assert_array_equal(given.predict_proba(jets), made.predict_proba(jets))
    again = Tagger.load(given.save(tmp_path / "tagger"))
    assert again.representation_ == cloud
    np.testing.assert_array_equal(again.predict_proba(jets), given.predict_proba(jets))


def test_a_tagger_with_an_unknown_representation_is_refused(trained, tmp_path):
    folder = trained.save(tmp_path / "tagger")
    resealed(folder / "tagger.json", lambda values: values["representation"].update(kind="graph"))
    with pytest.raises(TaggerError, match=r"representation of the kind 'graph'; known: cloud"):
        Tagger.load(folder)
