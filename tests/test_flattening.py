"""Flat weights: each class is flat in the declared bins, keeps its sum, and none runs away."""

import numpy as np
import pytest

from hepnn import flat_weights
from hepnn.errors import InputError
from hepnn.judging import column_of
from tests.conftest import make_jets

JETS = make_jets(4000, seed=4)
LABELS = JETS.label.to_numpy()
PT, MASS = column_of(JETS, "pt"), column_of(JETS, "n_particles")
EDGES = {"pt": [500, 515, 530, 550], "n_particles": [0, 7, 10, 14, 50]}


@pytest.mark.parametrize("start", [None, np.random.default_rng(1).exponential(1, 4000)], ids=["equal", "weighted"])
def test_every_class_is_flat_in_pt_and_multiplicity(start):
    weights = flat_weights(JETS, EDGES, sample_weight=start)
    for name in ("quark", "gluon"):
        chosen = name == LABELS
        sums, *_ = np.histogram2d(PT[chosen], MASS[chosen], list(EDGES.values()), weights=weights[chosen])
        np.testing.assert_allclose(sums, sums.mean(), rtol=1e-9)
        assert weights[chosen].sum() == pytest.approx(chosen.sum() if start is None else start[chosen].sum())


def test_a_number_of_bins_spans_nearly_all_jets():
    weights = flat_weights(JETS, {"pt": 5})
    chosen = LABELS == "quark"
    edges = np.linspace(*np.quantile(PT, (0.01, 0.99)), 6)
    sums, _ = np.histogram(np.clip(PT[chosen], edges[0], edges[-1]), edges, weights=weights[chosen])
    np.testing.assert_allclose(sums, sums.mean(), rtol=1e-9)


def test_no_weight_runs_away():
    """One jet alone in a bin would weigh as much as all others."""
    weights = flat_weights(JETS, {"pt": [500, PT.max(), 600]})
    assert weights.max() < 55
    assert weights.sum() == pytest.approx(4000)


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ({}, "name at least one column"),
        ({"ptt": 3}, "column 'ptt' of the jets; closest: 'pt'"),
        ({"pt": 0}, "give a number from 1 on, or edges that rise"),
        ({"pt": [3, 2]}, "give a number from 1 on, or edges that rise"),
    ],
)
def test_bins_that_make_no_sense_are_refused(bins, message):
    with pytest.raises(InputError, match=message):
        flat_weights(JETS, bins)
