"""The task on images of the bundled jets."""

import numpy as np
import pytest

from hepnn.bundled import bundled_jets
from hepnn.images import pixelate
from hepnn.readers import read_jets
from hepnn.tasks import TASKS
from hepnn.tasks.jets_image import GRU, IMAGES


@pytest.fixture(scope="module")
def result():
    return TASKS["jets-image"].run(seed=1, quick=True)


def test_a_quick_run_reaches_its_bounds(result):
    assert result.passed, result.metrics
    assert [metric.name for metric in result.metrics] == [goal.metric for goal in result.task.goals]
    assert all(0 < metric.uncertainty < 0.02 for metric in result.metrics)


def test_images_and_particles_are_judged_on_the_same_held_out_jets(result):
    assert result.n_test == 3_900
    (table,) = result.tables
    assert [row[0] for row in table.rows] == [*IMAGES, GRU]
    assert "2,000 jets to train on" in table.title
    areas = {row[0]: row[2].value for row in table.rows}
    for name, *_, below in table.rows[1:]:
        assert below.value == pytest.approx(areas["image CNN"] - areas[name], abs=1e-12)
    behind = next(metric for metric in result.metrics if metric.name == "AUC of the masked GRU less that")
    assert behind.value == pytest.approx(areas[GRU] - areas["image CNN"], abs=1e-12)


def test_the_task_is_about_the_network_on_images(result):
    assert result.model.input_shape["image"] == (None, 33, 33, 3)
    assert set(result.fits) == {*IMAGES, GRU}
    assert all(np.isfinite(fit.history["val_auc"]).all() for fit in result.fits.values())


def test_average_images_show_that_gluon_jets_are_wider(result):
    assert set(result.figures) == {"average images", "difference", "ROC", "learning"}
    quark, gluon, _ = result.figures["average images"].axes
    assert [axes.get_title() for axes in (quark, gluon)] == ["quark", "gluon"]
    middle = [axes.images[0].get_array()[16, 16] for axes in (quark, gluon)]
    assert middle[0] > middle[1]
    difference = result.figures["difference"].axes[0].images[0].get_array()
    assert difference[16, 16] == pytest.approx(middle[0] - middle[1])
    assert difference[13, 13] < 0


def test_the_colours_are_charged_and_neutral_pt_as_shares_and_the_number_of_charged():
    jets = read_jets(bundled_jets(), schema="hepnn", max_jets=50)
    colours, alone = (pixelate(jets, image) for image in IMAGES.values())
    np.testing.assert_allclose(colours[..., :2].sum(axis=-1), alone[..., 0], atol=1e-6)
    np.testing.assert_allclose(alone.sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_array_equal(colours[..., 2], np.round(colours[..., 2]))
