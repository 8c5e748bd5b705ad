"""The evaluation as a whole: which class stands against which, and what is refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hepnn.errors import InputError
from hepnn.evaluation import evaluate, score_histograms
from tests.toy_scores import CLASSES, LABELS, LOGITS, PROBABILITIES, RNG, WEIGHTS, N


def test_histograms_agree_with_numpy_and_lose_no_jet():
    scores = np.linspace(-0.2, 1.2, N)  # some beyond the limits
    weights = WEIGHTS
    result = score_histograms(LABELS, scores, n_bins=7, weights=weights)
    assert list(result.share) == ["qcd", "top", "w"]
    chosen = LABELS == "top"
    counts, edges = np.histogram(np.clip(scores[chosen], 0, 1), 7, (0, 1), weights=weights[chosen])
    squares, _ = np.histogram(np.clip(scores[chosen], 0, 1), 7, (0, 1), weights=weights[chosen] ** 2)
    np.testing.assert_allclose(result.edges, edges)
    np.testing.assert_allclose(result.share["top"], counts / weights[chosen].sum())
    np.testing.assert_allclose(result.error["top"], np.sqrt(squares) / weights[chosen].sum())
    assert result.share["top"].sum() == pytest.approx(1)


def test_a_class_without_jets_is_left_out_of_a_many_class_evaluation():
    few = LABELS != "w"
    result = evaluate(LABELS[few], PROBABILITIES[few], CLASSES, background="qcd")
    assert result.n_jets["w"] == 0
    assert [part.signal for part in result.separations] == ["top"]
    assert np.isnan(result.confusion.value[0]).all()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["auc_matrix"]["value"][0] == [None] * 3


def test_scaled_weights_change_no_number():
    one = evaluate(LABELS, PROBABILITIES, CLASSES, weights=WEIGHTS)
    other = evaluate(LABELS, PROBABILITIES, CLASSES, weights=1000 * WEIGHTS)
    np.testing.assert_allclose(other.accuracy[:2], one.accuracy[:2])
    np.testing.assert_allclose(other.log_loss[:2], one.log_loss[:2])
    np.testing.assert_allclose(other.confusion, one.confusion)
    np.testing.assert_allclose(other.auc_matrix, one.auc_matrix)


def test_each_signal_stands_against_the_background_only():
    result = evaluate(LABELS, PROBABILITIES, CLASSES, background="qcd")
    assert [(part.signal, part.background) for part in result.separations] == [("w", "qcd"), ("top", "qcd")]
    chosen = np.isin(LABELS, ["top", "qcd"])
    expected = roc_auc_score(
        LABELS[chosen] == "top", PROBABILITIES[chosen, 2] / PROBABILITIES[chosen][:, [1, 2]].sum(axis=1)
    )
    assert result.separations[1].auc.value == pytest.approx(expected)
    assert result.separations[1].n_background == (LABELS == "qcd").sum()


def test_without_a_background_each_class_stands_against_the_rest():
    result = evaluate(LABELS, PROBABILITIES, CLASSES)
    assert [part.background for part in result.separations] == ["rest"] * 3
    assert result.separations[0].auc.value == pytest.approx(roc_auc_score(LABELS == "w", PROBABILITIES[:, 0]))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ("quark", "gluon")),
        ({"signal": "gluon"}, ("gluon", "quark")),
        ({"background": "quark"}, ("gluon", "quark")),
        ({"signal": "quark", "background": "gluon"}, ("quark", "gluon")),
    ],
)
def test_of_two_classes_the_second_is_the_signal_unless_asked_otherwise(asked, expected):
    is_quark = RNG.random(N) < 0.4
    p = 1 / (1 + np.exp(-RNG.normal(1.2 * is_quark)))
    labels = np.where(is_quark, "quark", "gluon")
    (part,) = evaluate(labels, np.stack([1 - p, p], axis=1), ("gluon", "quark"), **asked).separations
    assert (part.signal, part.background) == expected
    assert part.auc.value == pytest.approx(roc_auc_score(is_quark, p))


def test_a_dictionary_of_the_result_is_json_even_where_it_is_infinite():
    labels = np.array(["a", "a", "b", "b"])
    sure = np.array([[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0]])
    text = json.dumps(evaluate(labels, sure, ("a", "b")).to_dict(), allow_nan=False)
    assert json.loads(text)["separations"][0]["rejection"]["0.5"] == {
        "value": None,
        "error": None,
        "lower_limit": pytest.approx(1 / (1 - 0.05**0.5)),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signal": "higgs"}, "asked for the signal 'higgs'; the tagger knows only w, qcd, top"),
        ({"background": "higgs"}, "asked for the background 'higgs'"),
        ({"signal": "top", "background": "top"}, "asked to tell 'top' from itself"),
        ({"classes": ("w", "qcd", "higgs")}, "found jets labelled top"),
        (
            {"probabilities": PROBABILITIES[:, :2]},
            r"scores of shape \(3000, 3\), one row a jet; found the shape \(3000, 2\)",
        ),
        (
            {"probabilities": np.where(np.arange(N)[:, None] == 7, np.nan, PROBABILITIES)},
            r"finite scores; those of 1 jets are not, first jet 7: \[nan",
        ),
        ({"weights": np.ones(3)}, r"weights of shape \(3000,\), one row a jet; found the shape \(3,\)"),
        ({"weights": np.where(LABELS == "w", -1.0, 1.0)}, "those of the class 'w' have the sum -"),
        ({"labels": np.full(N, "top")}, "all 3000 jets are top. Add files with another of w, qcd, top"),
        ({"labels": np.where(np.arange(N) == 5, None, LABELS)}, "1 of 3000 have none, first jet 5"),
        ({"labels": np.where(LABELS == "w", "top", LABELS), "signal": "w"}, "signal 'w'; no jet is labelled so"),
        ({"probabilities": LOGITS}, "If these are logits, take their softmax"),
        ({"labels": LABELS[:, None]}, r"found \(3000, 1\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    arguments = {"labels": LABELS, "probabilities": PROBABILITIES, "classes": CLASSES, **change}
    first = [arguments.pop(name) for name in ("labels", "probabilities", "classes")]
    with pytest.raises(InputError, match=message):
        evaluate(*first, **arguments)
