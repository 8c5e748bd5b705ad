"""What no physics makes has the outcome that `hepnn.oddities` says, in Python and on the command line."""

import json
import re
import warnings
from functools import partial

import awkward as ak
import numpy as np
import pytest
import uproot

from hepnn import Tagger, open_jets, read_jets, tag
from hepnn.assessment import assess
from hepnn.baseline import BoostedTrees
from hepnn.calo_images import CaloImage, pixelate_cells
from hepnn.cautions import warnings_of
from hepnn.converting import convert
from hepnn.errors import FeatureError, HepnnWarning, InputError, SchemaError
from hepnn.evaluation import evaluate
from hepnn.evaluation_page import PAGE
from hepnn.features import JET_FEATURES, evaluate_features, resolve_features
from hepnn.friends import parse_friend
from hepnn.images import CHANNELS, JetImage, pixelate
from hepnn.judging import judge
from hepnn.kinematics import energy_from_mass
from hepnn.lessons import lesson_of_jets
from hepnn.oddities import fingerprints, is_sound, odd_in, repeated_in
from tests.conftest import make_jets
from tests.readers.test_reading import columns, write

pytestmark = pytest.mark.filterwarnings("always::hepnn.errors.HepnnWarning")  # the command line shows them

ODD = 7
"""The jet that is changed; it has several particles."""

NAN, INF = float("nan"), float("inf")


def jets_of(n=40, *, seed=4):
    return make_jets(n, seed=seed)


def with_jet(jets, name, value):
    values = jets[name].tolist()
    values[ODD] = value
    return ak.with_field(jets, values, name)


def with_particle(jets, name, value):
    values = jets.particles[name].tolist()
    values[ODD][0] = value
    return ak.with_field(jets, ak.with_field(jets.particles, ak.Array(values), name), "particles")


def with_particles(jets, particles):
    """The jet with other particles."""
    parts = [jets.particles[:ODD], particles[np.newaxis], jets.particles[ODD + 1 :]]
    return ak.with_field(jets, ak.concatenate(parts), "particles")


def crowded(jets, n):
    return with_particles(jets, jets.particles[ODD][np.arange(n) % len(jets.particles[ODD])])


def without_momentum(jets):
    """A jet without particles as sums of particles make it."""
    jets = with_particles(jets, jets.particles[ODD][:0])
    return with_jet(with_jet(jets, "pt", 0.0), "energy", 0.0)


MOMENTA = {
    f"{change.__name__[5:]} {name} {value}": (partial(change, name=name, value=value), name)
    for change in (with_jet, with_particle)
    for name, values in {
        "pt": (NAN, INF, -INF, None, -5.0, 0.0),
        "energy": (NAN, INF, -INF, None, -5.0, 0.0),
        "eta": (NAN, INF, -INF, None, 1e30, -1e4),
        "phi": (NAN, INF, -INF, None),
    }.items()
    for value in values
} | {
    "particle missing": (lambda jets: ak.with_field(jets, missing_particle(jets), "particles"), "pt"),
}
"""What is no momentum, by name: the change, and the field that the error names."""

ON_THE_COMMAND_LINE = (
    "jet pt nan",
    "jet eta 1e+30",
    "jet phi inf",
    "jet energy -5.0",
    "particle pt 0.0",
    "particle eta -inf",
    "particle phi None",
    "particle energy nan",
    "particle missing",
)

COUNTED = {
    "particle eta 12": (partial(with_particle, name="eta", value=12.0), "1 particles with |η| above 10"),
    "particle phi in degrees": (partial(with_particle, name="phi", value=170.0), "1 particles with |φ| above 2π"),
    "jet phi in degrees": (partial(with_jet, name="phi", value=-170.0), "1 jets with |φ| above 2π"),
    "energy below momentum": (partial(with_particle, name="energy", value=0.5), "1 particles of less energy than"),
    "the same particle twice": (
        lambda jets: with_particles(jets, ak.concatenate([jets.particles[ODD][:1], jets.particles[ODD]])),
        "1 particles that are in their jet twice",
    ),
    "pid nan": (partial(with_particle, name="pid", value=NAN), "1 particles whose pid is no code"),
    "pid inf": (partial(with_particle, name="pid", value=INF), "1 particles whose pid is no code"),
    "pid missing": (partial(with_particle, name="pid", value=None), "1 particles whose pid is no code"),
    "pid 211.5": (partial(with_particle, name="pid", value=211.5), "1 particles whose pid is no code"),
    "100,000 particles": (partial(crowded, n=100_000), "1 jets of more than 5,000 particles"),
}
"""What has a meaning but is counted: the change, and what is said."""

FINE = {
    "no particles": lambda jets: with_particles(jets, jets.particles[ODD][:0]),
    "no particles, no momentum": without_momentum,
    "no particles anywhere": lambda jets: ak.with_field(jets, jets.particles[:, :0], "particles"),
    "no jets": lambda jets: jets[:0],
    "jets of one class": lambda jets: jets[jets.label == "quark"],
    "pid of a nucleus": partial(with_particle, name="pid", value=1000020040),
    "d0 missing": partial(with_particle, name="d0", value=None),
    "d0 inf": partial(with_particle, name="d0", value=INF),
    "no label": partial(with_jet, name="label", value=None),
    "label of another tagger": partial(with_jet, name="label", value="tau"),
    "jets twice": lambda jets: ak.concatenate([jets, jets]),
}
"""What is scored without a word."""


def missing_particle(jets):
    at = ak.local_index(jets.particles)
    return ak.mask(jets.particles, ~((np.arange(len(jets)) == ODD) & (at == 0)))


@pytest.fixture(scope="module")
def image_tagger(jets):
    image = JetImage(
        size=7, channels=("pt", "charged_count"), center="centroid", rotate="principal_axis", normalize="sum"
    )
    options = {"filters": (2,), "head_units": (4,)}
    return Tagger("cnn2d", model_options=options, representation=image, epochs=1, batch_size=64).fit(jets)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    return trained.save(tmp_path_factory.mktemp("tagger") / "tagger")


@pytest.fixture
def file(tmp_path):
    """Writes jets to a file, with their labels and columns."""

    def written(jets):
        path = tmp_path / "odd.parquet"
        ak.to_parquet(jets, path)
        return path

    return written


def scores_in(path):
    with uproot.open(path) as opened:
        (tree,) = opened.values()
        return np.stack(list(tree.arrays(library="np").values()), axis=1)


@pytest.mark.parametrize("change", [change for change, _ in MOMENTA.values()], ids=MOMENTA)
def test_what_is_no_momentum_is_refused_by_whatever_looks_at_it(change, trained, image_tagger):
    jets = change(jets_of())
    assert np.flatnonzero(~is_sound(jets)).tolist() == [ODD]
    for use in (trained.predict_proba, image_tagger.predict_proba, pixelate, Tagger("deepsets").fit):
        with pytest.raises(
            InputError,
            match=rf"is missing, infinite.* in 1 of 40 jets: {ODD}, counted from 0 among these. Leave them out with",
        ):
            use(jets)
    with pytest.raises(InputError, match="is missing, infinite"):
        BoostedTrees().fit(jets)


@pytest.mark.parametrize(("change", "field"), [MOMENTA[name] for name in ON_THE_COMMAND_LINE], ids=ON_THE_COMMAND_LINE)
def test_tagging_names_file_and_jet_or_leaves_it_out_if_asked(change, field, trained, folder, file, tmp_path, run):
    path = file(change(jets_of()))
    code, _, said = run("tag", path, "--tagger", folder, "-o", tmp_path / "refused.root")
    assert code == 2
    assert f"in {path}, entries 0 to 40: asked for" in said
    assert f"momentum; {field} is missing, infinite" in said
    assert not (tmp_path / "refused.root").exists()
    assert run("tag", path, "--tagger", folder, "-o", tmp_path / "s.root", "--select", "is_sound")[0] == 0
    scores, expected = scores_in(tmp_path / "s.root"), trained.predict_proba(jets_of())
    assert np.isnan(scores[ODD]).all()
    others = np.arange(40) != ODD
    np.testing.assert_allclose(scores[others], expected[others], atol=1e-6)


@pytest.mark.parametrize(("change", "text"), COUNTED.values(), ids=COUNTED)
def test_what_is_odd_but_has_a_meaning_is_scored_and_counted(change, text, trained, image_tagger, folder, file, run):
    jets = change(jets_of())
    for tagger in (trained, image_tagger):
        with pytest.warns(HepnnWarning, match=re.escape(text)):
            assert np.isfinite(tagger.predict_proba(jets)).all()
    path = file(jets)
    code, _, said = run("tag", path, "--tagger", folder, "-o", path.with_suffix(".root"))
    assert (code, text in said) == (0, True), said
    assert np.isfinite(scores_in(path.with_suffix(".root"))).all()
    code, _, said = run("evaluate", path, "--tagger", folder)
    assert (code, text in said) == (0, True), said


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_what_is_usual_is_scored_and_nothing_is_said(change, trained, image_tagger, folder, file, run):
    jets = change(jets_of())
    for tagger in (trained, image_tagger):
        probabilities = tagger.predict_proba(jets)
        assert probabilities.shape == (len(jets), 2)
        assert np.isfinite(probabilities).all()
    path = file(jets)
    code, _, said = run("tag", path, "--tagger", folder, "-o", path.with_suffix(".root"))
    assert (code, "odd" in said) == (0, False), said


def test_every_channel_of_images_and_every_feature_is_finite_for_what_is_odd():
    for change, _ in COUNTED.values():
        jets = change(jets_of())
        assert np.isfinite(pixelate(jets, JetImage(size=5, channels=tuple(CHANNELS), normalize="norm"))).all()
        names = ["kinematics", "type", "identity", "rapidity", "mass", "pt_to_axis", "pt_fraction", "tanh_d0"]
        assert np.isfinite(evaluate_features(jets, resolve_features(names))).all()
        assert np.isfinite(evaluate_features(jets, list(JET_FEATURES.values()), collection=None)).all()


def test_scores_of_jets_in_degrees_are_warned_of_where_they_are_asked_for(trained):
    jets = jets_of()
    jets = ak.with_field(jets, np.degrees(jets.phi), "phi")
    for scores in (trained, trained.predict, trained.predict_proba):
        with pytest.warns(HepnnWarning, match="degrees") as told:
            scores(jets)
        assert [each.filename for each in told] == [__file__]


@pytest.mark.parametrize("turn", [2 * np.pi, -2 * np.pi, 200 * np.pi], ids=["once", "back", "often"])
def test_azimuths_that_go_round_give_the_same_scores(turn, trained, image_tagger):
    jets = jets_of()
    turned = ak.with_field(jets, jets.phi + turn, "phi")
    moved = ak.with_field(jets, ak.with_field(jets.particles, jets.particles.phi - turn, "phi"), "particles")
    for tagger in (trained, image_tagger):
        for other in (turned, moved):
            with warnings.catch_warnings(action="ignore"):  # of azimuths above 2π
                found = tagger.predict_proba(other)
            np.testing.assert_allclose(found, tagger.predict_proba(jets), atol=1e-5)


def test_particles_of_no_kind_have_neither_charge_nor_flag():
    jets = with_particle(jets_of(), "pid", 211.5)
    values = evaluate_features(jets, resolve_features(["type", "identity"]))
    assert not values[int(ak.sum(ak.num(jets.particles[:ODD])))].any()


def test_a_missing_charge_is_refused_where_a_feature_needs_it_and_counts_as_none_elsewhere():
    jets = jets_of()
    charged = ak.with_field(jets, ak.with_field(jets.particles, jets.particles.pt * 0 + 1.0, "charge"), "particles")
    jets = with_particle(charged, "charge", NAN)
    with pytest.raises(FeatureError, match=r"'charge' is NaN .* give the field a value in the schema"):
        evaluate_features(jets, resolve_features(["charge"]))
    n_charged = evaluate_features(jets, [JET_FEATURES["n_charged"]], collection=None)[:, 0]
    expected = ak.to_numpy(ak.num(jets.particles)) - (np.arange(40) == ODD)
    np.testing.assert_array_equal(n_charged, expected)


def test_a_negative_mass_is_that_of_a_negative_square():
    masses = np.array([4.0, 0.0, -4.0, -6.0])
    np.testing.assert_allclose(energy_from_mass(5.0, 0.0, masses), [np.sqrt(41), 5, 3, 0])
    assert energy_from_mass(ak.Array([[5.0], []]), 0.0, -4.0).tolist() == [[3.0], []]


def test_noise_in_cells_is_taken_and_missing_energy_is_not():
    cell = {"pt": 1.0, "eta": 0.0, "phi": 0.0, "energy": -0.2, "layer": 0}
    showers = ak.Array([{"eta": 0.0, "phi": 0.0, "cells": [cell, cell | {"energy": 0.2}]}])
    for normalize in (None, "sum", "norm"):
        assert np.isfinite(pixelate_cells(showers, CaloImage(normalize=normalize))).all()
    with pytest.raises(InputError, match="the cell field 'energy' is missing or infinite for 2 of 2"):
        pixelate_cells(ak.with_field(showers, ak.with_field(showers.cells, NAN, "energy"), "cells"))


LABELS = {
    "no label": (partial(with_jet, name="label", value=None), "1 of 40 have none, first jet 7"),
    "label of another tagger": (partial(with_jet, name="label", value="tau"), "found jets labelled tau: 1 of 40"),
    "jets of one class": (lambda jets: jets[jets.label == "quark"], "asked to tell classes apart; all"),
    "no jets": (lambda jets: jets[:0], "found no jets"),
}
WEIGHTS = {
    "weight nan": (NAN, "asked for finite weights; those of 1 jets are not, first jet 7"),
    "weight inf": (INF, "asked for finite weights; those of 1 jets are not, first jet 7"),
    "weight missing": (None, "asked for finite weights; those of 1 jets are not, first jet 7"),
    "weights of a class sum to less than 0": (-1000.0, "asked for weights that count jets"),
}


def weighted(value, jets):
    return with_jet(ak.with_field(jets, np.ones(len(jets)), "weight"), "weight", value)


JUDGED = LABELS | {name: (partial(weighted, value), message) for name, (value, message) in WEIGHTS.items()}


@pytest.mark.parametrize(("change", "message"), JUDGED.values(), ids=JUDGED)
def test_labels_and_weights_that_cannot_be_judged_by_are_refused(change, message, trained, folder, file, run):
    jets = change(jets_of())
    path = file(jets)
    more = ["--weight", "weight"] if "weight" in jets.fields else []
    code, _, said = run("evaluate", path, "--tagger", folder, *more)
    assert (code, message in said) == (2, True), said
    if len(jets):
        labels = (
            ak.to_numpy(jets.label) if not ak.any(ak.is_none(jets.label)) else np.array(jets.label.tolist(), object)
        )
        weights = np.array(jets.weight.tolist(), np.float64) if more else None
        with pytest.raises(InputError):
            evaluate(labels, trained.predict_proba(jets), trained.classes_, weights=weights)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(NAN, "jet 7 has nan"), (INF, "jet 7 has inf"), (None, "jet 7 has nan"), (-1.0, "jet 7 has -1.0")],
    ids=["nan", "inf", "missing", "negative"],
)
def test_weights_that_cannot_be_trained_with_are_refused(weight, message, file, tmp_path, run):
    path = file(weighted(weight, jets_of()))
    code, _, said = run("train", path, "-o", tmp_path / "new", "--weight", "weight", "--model", "deepsets")
    assert (code, message in said) == (2, True), said
    with pytest.raises(InputError, match="not all 0"):
        Tagger().fit(jets_of(), sample_weight=np.zeros(40))


@pytest.mark.parametrize(("change", "message"), [LABELS["no label"], LABELS["jets of one class"], LABELS["no jets"]])
def test_labels_that_cannot_be_trained_with_are_refused(change, message, file, tmp_path, run):
    code, _, said = run("train", file(change(jets_of())), "-o", tmp_path / "new", "--model", "deepsets")
    assert code == 2
    assert "asked for the jets' classes; 1 of 40 have none" in said or "asked to tell classes apart; found" in said


def test_a_negative_weight_is_counted_in_an_evaluation(trained, file):
    jets = ak.concatenate([weighted(-0.5, jets_of(seed=seed)) for seed in (4, 5)])
    sample = judge(open_jets(file(jets)), taggers={"it": trained}, columns=["weight"])
    weights = sample.columns["weight"]
    made = assess(sample, signal="quark", weights=weights)
    assert any("2.5% of the weights are negative" in text for text in warnings_of(made, sample, weights=weights))


def judge_mass(path):
    return judge(open_jets(path), friends=[parse_friend("score")], columns=["mass"])


def test_scores_of_other_programs_are_judged_on_whatever_jets_there_are(file):
    jets = ak.with_field(jets_of(), np.linspace(0, 1, 40), "score")
    for change, _ in MOMENTA.values():
        with warnings.catch_warnings(action="ignore"):  # some are odd besides
            sample = judge(open_jets(file(change(jets))), friends=[parse_friend("score")], columns=["pt", "mass"])
        assess(sample, signal="quark", against=["pt"])
    with pytest.raises(InputError, match="asked for finite masses; those of 1 jets are not"):
        assess(judge_mass(file(with_jet(jets, "eta", NAN))), signal="quark", mass="mass")


def test_scores_of_other_programs_that_are_not_finite_are_refused(file):
    jets = with_jet(ak.with_field(jets_of(), np.linspace(0, 1, 40), "score"), "score", NAN)
    sample = judge(open_jets(file(jets)), friends=[parse_friend("score")])
    with pytest.raises(InputError, match=r"finite scores; those of 1 jets are not, first jet 7: nan\. Leave such"):
        assess(sample, signal="quark")
    sample = judge(open_jets(file(jets), select="isfinite(score)"), friends=[parse_friend("score")])
    assert len(sample.labels) == 39
    assess(sample, signal="quark")


def test_scores_that_a_selection_left_empty_go_with_that_selection(trained, file, tmp_path, run, folder):
    path = file(jets_of(200))
    assert run("tag", path, "--tagger", folder, "-o", tmp_path / "s.root", "--select", "pt > 525")[0] == 0
    friend = ["--scores", f"{tmp_path}/s.root:hepnn_quark", "--signal", "quark"]
    code, _, said = run("evaluate", path, *friend)
    assert (code, "scores that a selection left empty go with that selection" in said) == (2, True), said
    assert run("evaluate", path, *friend, "--select", "pt > 525")[0] == 0


def test_a_column_that_is_not_finite_is_left_out_and_counted(trained, file):
    jets = with_jet(ak.with_field(jets_of(), np.arange(40.0), "n_pv"), "n_pv", NAN)
    sample = judge(open_jets(file(jets)), taggers={"it": trained}, columns=["n_pv"])
    made = assess(sample, signal="quark", against=["n_pv"])
    assert any(text.startswith("1 jets have no finite n_pv") for text in warnings_of(made, sample))
    assert np.isfinite(made.matchups[0].against["n_pv"]["quark"]["it"].edges).all()


def test_jets_that_come_twice_are_counted_where_it_matters(trained, file, tmp_path, run, folder):
    jets = jets_of()
    n_with_particles = int(ak.sum(ak.num(jets.particles) > 0))
    message = f"{n_with_particles} jets that are there more than once"
    path = file(jets)
    code, _, said = run("evaluate", path, path, "--tagger", folder, "-o", tmp_path / "report/")
    assert (code, message in said) == (0, True), said
    assert message in (tmp_path / "report" / PAGE).read_text()
    with pytest.warns(HepnnWarning, match=message):
        convert([path, path], tmp_path / "shards")
    tagger = Tagger("deepsets")
    with pytest.warns(HepnnWarning, match=message):
        lesson_of_jets(tagger, ak.concatenate([jets, jets]), y=None, sample_weight=None, validation=None)
    beside = ak.concatenate([jets_of(seed=9), jets[ODD : ODD + 2]])
    with pytest.warns(HepnnWarning, match="2 validation jets that are trained on"):
        lesson_of_jets(tagger, jets, y=None, sample_weight=None, validation=beside)


def test_jets_are_the_same_only_if_all_their_particles_are():
    jets = jets_of(200)
    assert repeated_in(fingerprints(jets)) == {}
    changed = [with_particle(jets, name, 1.25) for name in ("pt", "eta", "phi", "energy")]
    swapped = with_particles(jets, jets.particles[ODD][::-1])
    everything = ak.concatenate([jets, *changed, swapped])
    (n_repeated,) = repeated_in(fingerprints(everything)).values()
    n_same = int(ak.sum(ak.num(jets.particles) > 0)) - 1
    assert n_repeated == 5 * n_same
    assert fingerprints(jets[ODD:]).tolist() == fingerprints(jets)[-len(fingerprints(jets[ODD:])) :].tolist()


def test_odd_jets_of_all_steps_and_parts_are_counted(trained, folder, file, tmp_path, run):
    jets = COUNTED["particle eta 12"][0](jets_of())
    path = file(ak.concatenate([jets, jets]))
    with pytest.warns(HepnnWarning, match="2 particles with .η. above 10"):
        tag(path, trained, tmp_path / "steps.root", step=7)
    for part in ("1/2", "2/2"):
        _, _, said = run("tag", path, "--tagger", folder, "-o", tmp_path / "parts.root", "--part", part, "--step", 7)
        assert "1 particles with |η| above 10" in said
    _, _, said = run("tag", path, "--tagger", folder, "-o", tmp_path / "parts.root", "--part", "1/1", "--step", 7)
    assert "2 particles with |η| above 10" in said  # as they were kept with the parts


def labelled(tmp_path, **labels):
    content = columns(6)
    return write(tmp_path / "labels.root", content | {f"label_{name}": flags for name, flags in labels.items()})


def test_two_labels_at_once_are_refused_and_none_is_left_out_if_asked(tmp_path):
    flags = np.array([True, True, False, False, True, False])
    path = labelled(tmp_path, quark=flags, gluon=~flags | (np.arange(6) == 4))
    with pytest.raises(SchemaError, match=r"labels.root:tree, entries 0 to 6: .*jet 4 of these is quark and gluon"):
        read_jets(path)
    path = labelled(tmp_path, quark=flags, gluon=~flags & (np.arange(6) != 5))
    assert read_jets(path).label.tolist() == ["quark", "quark", "gluon", "gluon", "quark", None]
    assert read_jets(path, select="has_label").label.tolist() == ["quark", "quark", "gluon", "gluon", "quark"]
    assert read_jets(path, select="quark").label.tolist() == ["quark"] * 3
    assert read_jets(path, select="gluon & jet_pt > 0 | ~has_label", observers=["jet_pt"]).label.tolist() == [
        "gluon",
        "gluon",
        None,
    ]


def test_a_file_without_jets_gives_no_rows(trained, file, tmp_path, run, folder):
    code, out, _ = run("tag", file(jets_of()[:0]), "--tagger", folder, "-o", tmp_path / "none.root", "--json")
    assert code == 0
    (done,) = json.loads(out)
    assert (done["n_entries"], done["n_jets"]) == (0, 0)
    assert scores_in(tmp_path / "none.root").shape == (0, 2)


def test_usual_jets_are_not_odd(jets):
    assert odd_in(jets) == {}
    assert is_sound(jets).all()
