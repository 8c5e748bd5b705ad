"""The uncertainties of the tasks' numbers are those that repeated experiments show."""

import numpy as np
import pytest

from hepnn.tasks.measuring import bootstrapped, mean, share

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n_right", "n"), [(0, 10), (10, 10), (96, 100), (1, 1), (500, 1000)])
def test_share_has_the_interval_of_wilson(n_right, n):
    """Its ends are where the share lies one standard deviation of the binomial distribution from the one observed."""
    measured = share(np.arange(n) < n_right)
    assert measured.value == n_right / n
    ends = np.roots([1 + 1 / n, -2 * n_right / n - 1 / n, (n_right / n) ** 2])
    np.testing.assert_allclose(measured.error, np.ptp(np.sort(ends.real)) / 2, rtol=1e-6)


def test_share_scatters_by_its_uncertainty():
    samples = [share(row) for row in RNG.random((2000, 400)) < 0.9]
    assert np.std([measured.value for measured in samples]) == pytest.approx(0.015, rel=0.1)
    assert np.mean([measured.error for measured in samples]) == pytest.approx(0.015, rel=0.05)


def test_share_is_not_certain_when_all_are_right():
    assert share(np.ones(100, bool)).error > 0


def test_mean_scatters_by_its_uncertainty():
    samples = [mean(row) for row in RNG.exponential(3.0, (2000, 100))]
    assert np.mean([measured.value for measured in samples]) == pytest.approx(3, rel=0.02)
    assert np.std([measured.value for measured in samples]) == pytest.approx(0.3, rel=0.1)
    assert np.mean([measured.error for measured in samples]) == pytest.approx(0.3, rel=0.1)


def test_the_error_of_two_values_is_half_their_distance():
    assert mean(np.array([1.0, 3.0])) == (2.0, 1.0, None)


def test_resampling_gives_the_error_of_a_median():
    """Of n normal numbers the median scatters by √(π / 2n)."""
    values = RNG.normal(size=1000)
    measured = bootstrapped(lambda rows: float(np.median(values[rows])), 1000, rng=np.random.default_rng(1))
    assert measured.value == np.median(values)
    assert measured.error == pytest.approx(np.sqrt(np.pi / 2000), rel=0.3)


def test_resampling_keeps_samples_together_and_the_same_seed_gives_the_same():
    seen = []

    def statistic(rows):
        seen.append(rows)
        return float(rows.mean())

    first, again = (bootstrapped(statistic, 50, rng=np.random.default_rng(2), n_resamplings=20) for _ in range(2))
    assert first == again
    assert len(seen) == 2 * 21
    assert all(rows.shape == (50,) and rows.min() >= 0 and rows.max() < 50 for rows in seen)
    assert any(len(np.unique(rows)) < 50 for rows in seen)
