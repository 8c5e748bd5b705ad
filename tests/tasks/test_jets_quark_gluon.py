"""The task on the bundled quark and gluon jets."""

import numpy as np
import pytest

from hepnn.tasks import TASKS


@pytest.fixture(scope="module")
def result():
    return TASKS["jets-quark-gluon"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics


def test_four_taggers_are_judged_on_the_same_held_out_jets(result):
    assert result.n_test == 3_900
    (table,) = result.tables
    assert "2,000 jets to train on" in table.title
    names = [row[0] for row in table.rows]
    assert names == ["masked GRU", "masked LSTM", "Deep Sets", "boosted trees"]
    auc = {row[0]: row[2].value for row in table.rows}
    for name, *_, below in table.rows[1:]:
        assert below.value == pytest.approx(auc["masked GRU"] - auc[name], abs=1e-12)
        assert 0 < below.error < 0.02


def test_models_and_pictures_can_be_taken_away(result):
    assert result.model.name == "gru"
    assert set(result.fits) == {"masked GRU", "masked LSTM", "Deep Sets"}
    assert all(np.isfinite(fit.history["val_auc"]).all() and fit.seconds > 0 for fit in result.fits.values())
    assert set(result.figures) == {"ROC", "learning"}
