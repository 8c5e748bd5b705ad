"""Discriminants: against computations by hand, and finite everywhere."""

import numpy as np
import pytest

from hepnn.discriminants import discriminant, log_ratio
from hepnn.errors import InputError
from hepnn.evaluation import evaluate, separate
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, WEIGHTS


def test_the_log_ratio_is_that_of_the_definition():
    w, qcd, top = PROBABILITIES.T
    found = log_ratio(PROBABILITIES, classes=CLASSES, signal="top", fractions={"w": 0.1, "qcd": 0.9})
    np.testing.assert_allclose(found, np.log(top / (0.1 * w + 0.9 * qcd)))
    scaled = log_ratio(PROBABILITIES, classes=CLASSES, signal="top", fractions={"w": 1, "qcd": 9})
    np.testing.assert_allclose(scaled, found)


def test_it_is_finite_where_a_probability_is_0():
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = log_ratio(sure, classes=("a", "b"), signal="a", fractions={"b": 1.0})
    np.testing.assert_allclose(found, [-np.log(2**-52), np.log(2**-52), 0])


def test_against_one_background_it_orders_jets_as_the_ratio_of_two_does():
    one = log_ratio(PROBABILITIES, classes=CLASSES, signal="top", fractions={"qcd": 1.0})
    other = discriminant(PROBABILITIES, classes=CLASSES, signal="top", background="qcd")
    assert (np.argsort(one) == np.argsort(other)).all()


def test_an_evaluation_with_fractions_sets_the_signal_against_each_background():
    fractions = {"w": 0.3, "qcd": 0.7}
    result = evaluate(LABELS, PROBABILITIES, CLASSES, signal="top", fractions=fractions, weights=WEIGHTS)
    assert [(part.signal, part.background) for part in result.separations] == [("top", "w"), ("top", "qcd")]
    scores = log_ratio(PROBABILITIES, classes=CLASSES, signal="top", fractions=fractions)
    alone = separate(LABELS, scores, signal="top", background="qcd", weights=WEIGHTS)
    assert alone.auc == result.separations[1].auc
    assert alone.scores.edges[0] < 0 < alone.scores.edges[-1]
    assert sum(alone.scores.share["top"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signal": "higgs", "fractions": {"w": 1}}, "class 'higgs'; the classes are w, qcd, top. Closest"),
        ({"signal": "top", "fractions": {"w": 1, "qdc": 1}}, "class 'qdc'; .* Closest: 'qcd'"),
        ({"signal": "top", "fractions": {"top": 1}}, "give at least one other class a fraction above 0"),
        ({"signal": "top", "fractions": {"w": -1, "qcd": 2}}, "none a negative one"),
        ({"signal": "top", "fractions": {"w": 0}}, "fraction above 0"),
        ({"signal": "top", "fractions": {}}, "fraction above 0"),
    ],
)
def test_fractions_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        discriminant(PROBABILITIES, classes=CLASSES, **arguments)


def test_fractions_need_a_signal():
    with pytest.raises(InputError, match="name the signal they stand against"):
        evaluate(LABELS, PROBABILITIES, CLASSES, fractions={"w": 1.0})


def test_fractions_of_classes_without_jets_are_refused():
    few = LABELS != "w"
    with pytest.raises(InputError, match=r"there are no jets of any of them. Found qcd, top"):
        evaluate(LABELS[few], PROBABILITIES[few], CLASSES, signal="top", fractions={"w": 1.0})
