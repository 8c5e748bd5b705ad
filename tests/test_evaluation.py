"""Every number against scikit-learn or a hand computation; every uncertainty against toys."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, roc_curve

from hepnn.errors import InputError
from hepnn.evaluation import (
    Measured,
    auc,
    background_rejection,
    binary_discriminant,
    evaluate,
    roc,
)

RNG = np.random.default_rng(2)
N = 3000
TRUTH = RNG.random(N) < 0.4
SCORES = np.round(RNG.normal(TRUTH * 1.2, 1.0), 2)  # rounded, so that there are ties
WEIGHTS = {"none": None, "positive": RNG.uniform(0.1, 2, N), "some-negative": RNG.choice([1.0, 1.0, 1.0, -0.5], N)}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_auc_agrees_with_scikit_learn(weights):
    reference = np.ones(N) if weights is None else weights
    if (reference < 0).any():  # scikit-learn refuses a curve that turns back: sum over all pairs by hand
        signal, background = SCORES[TRUTH], SCORES[~TRUTH]
        pairs = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
        product = reference[TRUTH][:, None] * reference[~TRUTH]
        expected = (pairs * product).sum() / product.sum()
    else:
        expected = roc_auc_score(TRUTH, SCORES, sample_weight=weights)
    assert auc(TRUTH, SCORES, weights=weights).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", [WEIGHTS["none"], WEIGHTS["positive"]], ids=["none", "positive"])
def test_roc_agrees_with_scikit_learn(weights):
    background, signal, thresholds = roc_curve(TRUTH, SCORES, sample_weight=weights, drop_intermediate=False)
    ours = roc(TRUTH, SCORES, weights=weights)
    np.testing.assert_allclose(ours.signal_efficiency, signal)
    np.testing.assert_allclose(ours.background_efficiency, background)
    np.testing.assert_allclose(ours.thresholds, thresholds)


def test_delong_variance_agrees_with_the_sum_over_all_pairs():
    truth, scores = TRUTH[:200], SCORES[:200]
    signal, background = scores[truth], scores[~truth]
    pairs = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    variance = pairs.mean(axis=1).var(ddof=1) / len(signal) + pairs.mean(axis=0).var(ddof=1) / len(background)
    assert auc(truth, scores).error == pytest.approx(np.sqrt(variance), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_of_the_auc_covers_the_true_value(weighted):
    """A score drawn from N(1,1) beats one from N(0,1) with probability Φ(1/√2) = 0.7602."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(400):
        truth = np.arange(240) % 2 == 0
        weights = rng.exponential(1.0, 240) if weighted else None
        measured = auc(truth, rng.normal(truth, 1.0), weights=weights)
        inside.append(abs(measured.value - 0.76025) < measured.error)
    assert 0.62 < np.mean(inside) < 0.74


def test_the_error_of_the_rejection_covers_the_true_value():
    """With the threshold at the signal's median, 0, the background efficiency is Φ(−1.5) = 0.0668."""
    rng = np.random.default_rng(6)
    inside = []
    for _ in range(400):
        truth = np.arange(4000) < 2000
        measured = background_rejection(truth, rng.normal(truth * 1.5, 1.0), signal_efficiency=0.5)
        inside.append(abs(measured.value - 1 / 0.0668072) < measured.error)
    assert 0.58 < np.mean(inside) < 0.76  # the threshold itself fluctuates as well


def test_rejection_is_one_over_the_background_that_passes():
    truth = np.array([True] * 4 + [False] * 100)
    scores = np.concatenate([[4, 3, 2, 1], np.linspace(-1, 3.5, 100)])
    passing = (scores[4:] >= 3).mean()
    measured = background_rejection(truth, scores, signal_efficiency=0.5)
    assert measured.value == pytest.approx(1 / passing)
    assert measured.error == pytest.approx(np.sqrt(passing * (1 - passing) / 100) / passing**2)


def test_rejection_where_no_background_passes_is_infinite_and_not_nan():
    truth = np.array([True, True, False, False])
    assert background_rejection(truth, np.array([3, 2, 1, 0]), signal_efficiency=0.5) == (np.inf, np.inf)


def test_discriminant_is_finite_where_both_probabilities_are_zero():
    result = binary_discriminant(np.array([0.3, 0.0, 0.0]), np.array([0.1, 0.5, 0.0]))
    np.testing.assert_allclose(result, [0.75, 0.0, 0.5])


LABELS = np.array(["top", "qcd", "w"])[RNG.integers(0, 3, N)]
CLASSES = ("w", "qcd", "top")  # in no alphabetic order
LOGITS = RNG.normal(0, 1, (N, 3)) + 1.5 * (LABELS[:, None] == np.array(CLASSES))
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weights", [None, WEIGHTS["positive"]], ids=["plain", "weighted"])
def test_accuracy_and_log_loss_agree_with_scikit_learn(weights):
    result = evaluate(LABELS, PROBABILITIES, CLASSES, background="qcd", weights=weights)
    best = np.array(CLASSES)[PROBABILITIES.argmax(axis=1)]
    assert result.accuracy.value == pytest.approx(accuracy_score(LABELS, best, sample_weight=weights))
    order = np.argsort(CLASSES)
    expected = log_loss(LABELS, PROBABILITIES[:, order], sample_weight=weights, labels=np.sort(CLASSES))
    assert result.log_loss == pytest.approx(expected)


def test_accuracy_has_its_binomial_error():
    result = evaluate(LABELS, PROBABILITIES, CLASSES)
    share = result.accuracy.value
    assert result.accuracy.error == pytest.approx(np.sqrt(share * (1 - share) / N))


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
    labels = np.where(TRUTH, "quark", "gluon")
    p = 1 / (1 + np.exp(-SCORES))
    (part,) = evaluate(labels, np.stack([1 - p, p], axis=1), ("gluon", "quark"), **asked).separations
    assert (part.signal, part.background) == expected
    assert part.auc.value == pytest.approx(roc_auc_score(TRUTH, SCORES))


def test_a_dictionary_of_the_result_is_json_even_where_it_is_infinite():
    labels = np.array(["a", "a", "b", "b"])
    sure = np.array([[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0]])
    text = json.dumps(evaluate(labels, sure, ("a", "b")).to_dict(), allow_nan=False)
    assert json.loads(text)["separations"][0]["rejection"]["0.5"] == {"value": None, "error": None}


def test_a_measured_number_shows_two_digits_of_its_error():
    assert str(Measured(0.90063, 0.00213)) == "0.9006 ± 0.0021"
    assert str(Measured(34.81, 1.31)) == "34.8 ± 1.3"
    assert str(Measured(np.inf, np.inf)) == "inf"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signal": "higgs"}, "asked for the signal 'higgs'; the tagger knows only w, qcd, top"),
        ({"background": "higgs"}, "asked for the background 'higgs'"),
        ({"signal": "top", "background": "top"}, "asked to tell 'top' from itself"),
        ({"classes": ("w", "qcd", "higgs")}, "found jets labelled top"),
        ({"probabilities": PROBABILITIES[:, :2]}, r"3000 jets and 3 classes; found scores of shape \(3000, 2\)"),
        ({"probabilities": np.where(np.arange(N)[:, None] == 7, np.nan, PROBABILITIES)}, r"jet 7 has \[nan"),
        ({"weights": np.ones(3)}, r"weights of shape \(3,\)"),
        ({"labels": np.full(N, "top")}, "the 0 signal jets have the weight 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    arguments = {"labels": LABELS, "probabilities": PROBABILITIES, "classes": CLASSES, **change}
    first = [arguments.pop(name) for name in ("labels", "probabilities", "classes")]
    with pytest.raises(InputError, match=message):
        evaluate(*first, **arguments)


def test_scores_that_are_not_finite_or_do_not_fit_are_refused():
    with pytest.raises(InputError, match="finite scores; 1 are not, first of jet 3: inf"):
        auc(TRUTH, np.where(np.arange(N) == 3, np.inf, SCORES))
    with pytest.raises(InputError, match=r"found the shapes \(3000,\), \(5,\) and \(5,\)"):
        roc(TRUTH, SCORES[:5])
    with pytest.raises(InputError, match="choose one between 0 and 1"):
        background_rejection(TRUTH, SCORES, signal_efficiency=1.5)
