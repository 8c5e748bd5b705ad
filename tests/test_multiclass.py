"""Any number of classes: every number against scikit-learn or a hand computation."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import log_loss as sklearn_log_loss

from hepnn.evaluation import evaluate
from hepnn.multiclass import auc_matrix, confusion_matrix, log_loss
from tests.toy_scores import CLASSES, LABELS, PROBABILITIES, WEIGHTS, N


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_accuracy_and_log_loss_agree_with_scikit_learn(weights):
    result = evaluate(LABELS, PROBABILITIES, CLASSES, background="qcd", weights=weights)
    best = np.array(CLASSES)[PROBABILITIES.argmax(axis=1)]
    assert result.accuracy.value == pytest.approx(accuracy_score(LABELS, best, sample_weight=weights))
    order = np.argsort(CLASSES)
    expected = sklearn_log_loss(LABELS, PROBABILITIES[:, order], sample_weight=weights, labels=np.sort(CLASSES))
    assert result.log_loss.value == pytest.approx(expected)


def test_log_loss_of_a_probability_of_zero_is_finite():
    measured = log_loss(["a", "b"], np.array([[0.0, 0.0], [0.0, 2.0]]), classes=("a", "b"))
    assert measured.value == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_the_error_of_the_log_loss_is_that_of_a_mean():
    loss = -np.log(PROBABILITIES[np.arange(N), [CLASSES.index(name) for name in LABELS]])
    measured = log_loss(LABELS, PROBABILITIES, classes=CLASSES)
    assert measured.error == pytest.approx(loss.std() / np.sqrt(N))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_the_confusion_matrix_agrees_with_scikit_learn(weights):
    best = np.array(CLASSES)[PROBABILITIES.argmax(axis=1)]
    ours = confusion_matrix(LABELS, best, classes=CLASSES, weights=weights)
    expected = sklearn_confusion(LABELS, best, labels=CLASSES, normalize="true", sample_weight=weights)
    np.testing.assert_allclose(ours.value, expected)
    if weights is None:
        n = np.array([[(name == LABELS).sum()] for name in CLASSES])
        np.testing.assert_allclose(ours.error, np.sqrt(expected * (1 - expected) / n))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_the_auc_matrix_agrees_with_scikit_learn_pair_by_pair(weights):
    ours = auc_matrix(LABELS, PROBABILITIES, classes=CLASSES, weights=weights)
    for i, j in np.ndindex(3, 3):
        if i == j:
            assert ours.value[i, j] == 0.5
            continue
        both = np.isin(LABELS, [CLASSES[i], CLASSES[j]])
        scores = PROBABILITIES[both, i] / (PROBABILITIES[both, i] + PROBABILITIES[both, j])
        chosen = None if weights is None else weights[both]
        expected = roc_auc_score(LABELS[both] == CLASSES[i], scores, sample_weight=chosen)
        assert ours.value[i, j] == pytest.approx(expected)
        assert ours.error[i, j] == ours.error[j, i] > 0


def test_accuracy_has_its_binomial_error():
    result = evaluate(LABELS, PROBABILITIES, CLASSES)
    share = result.accuracy.value
    assert result.accuracy.error == pytest.approx(np.sqrt(share * (1 - share) / N))
