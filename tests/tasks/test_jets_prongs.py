"""The task on toy jets of ten classes."""

import pytest

from hepnn.generators import TOY_CLASSES
from hepnn.tasks import TASKS


@pytest.fixture(scope="module")
def result():
    return TASKS["jets-prongs"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bound(result):
    assert result.passed, result.metrics


def test_every_class_has_its_row(result):
    (table,) = result.tables
    assert {row[0] for row in table.rows} == set(TOY_CLASSES)
    shares = [row[1].value for row in table.rows]
    assert sum(shares) / len(shares) == pytest.approx(result.metrics[0].value, abs=1e-9)  # as many jets of each
    for name, _, against_qcd, mistaken in table.rows:
        assert mistaken != name
        assert (against_qcd == "–") == (name == "QCD")


def test_pictures_show_confusion_and_learning(result):
    assert set(result.figures) == {"confusion", "learning"}
    assert len(result.fits["masked GRU"].history["val_auc"]) == 4
