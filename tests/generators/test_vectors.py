import numpy as np
import pytest

from hepnn.errors import InputError
from hepnn.generators.vectors import draw_vectors


@pytest.fixture(scope="module")
def sequences():
    return draw_vectors(20_000, rng=np.random.default_rng(1), steps=(5, 20))


def test_all_numbers_of_steps_are_equally_likely(sequences):
    counts = np.bincount(sequences.mask.sum(axis=1), minlength=21)
    assert counts[:5].sum() == 0
    assert len(counts) == 21
    expected = 20_000 / 16
    assert np.all(np.abs(counts[5:] - expected) < 5 * np.sqrt(expected))


def test_vectors_come_first_and_padding_is_zero(sequences):
    assert np.all(np.diff(sequences.mask.astype(int), axis=1) <= 0)
    assert np.all(sequences.vectors[~sequences.mask] == 0)
    assert np.all(sequences.lengths[sequences.mask] > 0)


def test_components_are_normal_and_independent(sequences):
    real = sequences.vectors[sequences.mask].astype(float)
    error = 1 / np.sqrt(len(real))
    assert np.all(np.abs(real.mean(axis=0)) < 5 * error)
    assert np.all(np.abs(np.cov(real.T) - np.eye(2)) < 10 * error)
    # lengths of two independent normal components: Rayleigh, of which a share 1 - exp(-r²/2) is shorter than r
    for r in (0.5, 1.0, 2.0, 3.0):
        shorter = np.mean(sequences.lengths[sequences.mask] < r)
        assert shorter == pytest.approx(1 - np.exp(-(r**2) / 2), abs=5 * error)


def test_lengths_are_those_of_any_number_of_components():
    sequences = draw_vectors(50, rng=np.random.default_rng(2), steps=(1, 4), n_components=3)
    assert sequences.vectors.shape == (50, 4, 3)
    np.testing.assert_allclose(sequences.lengths, np.linalg.norm(sequences.vectors, axis=-1), rtol=1e-6)


def test_the_same_generator_gives_the_same_sequences():
    first, again, other = (draw_vectors(10, rng=np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


@pytest.mark.parametrize("wrong", [{"steps": (0, 5)}, {"steps": (6, 5)}, {"n_components": 0}], ids=str)
def test_sequences_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="give at least one vector and one component"):
        draw_vectors(3, rng=np.random.default_rng(0), **wrong)
