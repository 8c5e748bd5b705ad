"""Alignment puts jets where it says, and moves them rigidly."""

import numpy as np
import pytest

from hepnn.alignment import CENTERS, FLIPS, ROTATIONS, hardest_of, plane_of, subjets_of, wrapped

RNG = np.random.default_rng(0)
COUNTS = np.array([0, 1, 12, 0, 40, 3, 25, 0])
RADIUS = 0.3


def random_plane(counts=COUNTS):
    n = counts.sum()
    return plane_of(RNG.normal(0, 0.2, n), RNG.normal(0, 0.1, n), RNG.exponential(20, n) + 0.5, counts)


def jets_of(*jets):
    """Jets given as lists of (η, φ, pT)."""
    points = np.array([point for jet in jets for point in jet], float).reshape(-1, 3)
    return plane_of(*points.T, np.array([len(jet) for jet in jets]))


def by_jet(plane):
    splits = np.cumsum(plane.counts)[:-1]
    return zip(*(np.split(column, splits) for column in plane[:3]), strict=True)


def test_angles_are_wrapped_into_one_turn():
    np.testing.assert_allclose(
        wrapped(np.array([-3.5, -np.pi, 0, 3.5, 20])), [2.78319, -np.pi, 0, -2.78319, 1.150444], 1e-5
    )


def test_the_hardest_is_found_in_each_jet_that_has_any():
    plane = random_plane()
    expected = [pt.max() for _, _, pt in by_jet(plane) if len(pt)]
    np.testing.assert_array_equal(plane.pt[hardest_of(plane.pt, plane.counts)], expected)


@pytest.mark.parametrize("counts", [np.array([], int), np.array([0, 0])], ids=["no jets", "empty jets"])
@pytest.mark.parametrize("step", [*CENTERS, *ROTATIONS, *FLIPS])
def test_nothing_to_align_is_no_error(counts, step):
    plane = random_plane(counts)
    steps = {**CENTERS, **ROTATIONS}
    aligned = steps[step](plane, RADIUS) if step in steps else FLIPS[step](plane)
    assert len(aligned.eta) == 0


@pytest.mark.parametrize("step", [*CENTERS, *ROTATIONS])
def test_jets_are_moved_as_a_whole(step):
    plane = random_plane()
    aligned = {**CENTERS, **ROTATIONS}[step](plane, RADIUS)
    np.testing.assert_array_equal(aligned.pt, plane.pt)
    for before, after in zip(by_jet(plane), by_jet(aligned), strict=True):
        z, w = before[0] + 1j * before[1], after[0] + 1j * after[1]
        np.testing.assert_allclose(np.abs(w[:, None] - w), np.abs(z[:, None] - z), atol=1e-8)


@pytest.mark.parametrize("step", ROTATIONS)
def test_rotations_leave_the_origin_and_the_sense_of_turning(step):
    plane = random_plane()
    turned = ROTATIONS[step](plane, RADIUS)
    for before, after in zip(by_jet(plane), by_jet(turned), strict=True):
        ratio = (after[0] + 1j * after[1]) / (before[0] + 1j * before[1])
        np.testing.assert_allclose(ratio, np.full(len(ratio), ratio[0] if len(ratio) else 0), atol=1e-5)
        np.testing.assert_allclose(np.abs(ratio), 1, atol=1e-5)


def test_the_axis_stays_where_it_is():
    plane = random_plane()
    assert CENTERS["axis"](plane, RADIUS) == plane


def test_the_hardest_particle_comes_to_the_origin():
    for eta, phi, pt in by_jet(CENTERS["hardest"](random_plane(), RADIUS)):
        if len(pt):
            assert (eta[pt.argmax()], phi[pt.argmax()]) == (0, 0)


def test_the_centroid_comes_to_the_origin():
    for eta, phi, pt in by_jet(CENTERS["centroid"](random_plane(), RADIUS)):
        if len(pt):
            np.testing.assert_allclose([(pt * eta).sum(), (pt * phi).sum()], 0, atol=1e-6)


# the hardest particle, of 50 GeV, is alone; the subjet at (0.5, 0.1) has 80 GeV
PRONGS = jets_of([(-0.2, 0.3, 50), (0.5, 0.05, 40), (0.5, 0.15, 40), (-0.6, -0.6, 8)])


def test_subjets_are_cones_ordered_by_their_sums():
    eta, phi, pt = subjets_of(PRONGS, radius=RADIUS)
    np.testing.assert_allclose(pt, [[80, 50]])
    np.testing.assert_allclose(eta, [[0.5, -0.2]])
    np.testing.assert_allclose(phi, [[0.1, 0.3]])


def test_the_leading_subjet_comes_to_the_origin():
    centered = CENTERS["subjet"](PRONGS, RADIUS)
    np.testing.assert_allclose(centered.eta[1:3], 0, atol=1e-12)
    np.testing.assert_allclose(centered.phi[1:3], [-0.05, 0.05])


def test_the_second_subjet_comes_to_lie_straight_below_the_first():
    turned = ROTATIONS["second_subjet"](CENTERS["subjet"](PRONGS, RADIUS), RADIUS)
    np.testing.assert_allclose(turned.eta[0], 0, atol=1e-12)
    np.testing.assert_allclose(turned.phi[0], -np.hypot(0.7, 0.2), atol=1e-9)


def test_a_soft_second_subjet_does_not_count_and_the_principal_axis_does():
    plane = jets_of([(-0.2, 0.0, 50), (0.0, 0.0, 60), (0.0, -0.6, 3)], [(0.0, 0.0, 60), (0.6, 0.0, 30)])
    turned = ROTATIONS["second_subjet"](plane, RADIUS)
    principal = ROTATIONS["principal_axis"](plane, RADIUS)
    np.testing.assert_allclose(turned.phi[:3], principal.phi[:3])
    np.testing.assert_allclose(turned.phi[3:], [0, -0.6], atol=1e-12)


def test_what_belongs_on_an_axis_lies_there_exactly_in_any_order():
    for order in ([0, 1, 2, 3], [3, 2, 0, 1]):
        turned = ROTATIONS["second_subjet"](
            CENTERS["subjet"](jets_of(np.stack(PRONGS[:3], axis=1)[order]), RADIUS), RADIUS
        )
        assert turned.eta[order.index(0)] == 0


def test_the_principal_axis_comes_to_lie_along_phi_by_the_smaller_angle():
    plane = random_plane()
    turned = ROTATIONS["principal_axis"](plane, RADIUS)
    for before, (eta, phi, pt) in zip(by_jet(plane), by_jet(turned), strict=True):
        if len(pt) > 1:
            covariance = np.cov(eta, phi, aweights=pt)
            assert covariance[0, 1] == pytest.approx(0, abs=1e-9)
            assert covariance[1, 1] > covariance[0, 0]
            assert np.abs(np.angle((eta + 1j * phi) / (before[0] + 1j * before[1]))).max() <= np.pi / 2 + 1e-6


def test_a_point_is_not_turned():
    plane = jets_of([(0.1, 0.2, 5)], [(0.1, 0.2, 5), (0.1, 0.2, 7)])
    for step in ROTATIONS:
        np.testing.assert_array_equal(ROTATIONS[step](plane, RADIUS).eta, plane.eta)


def test_more_pt_lies_to_the_right():
    plane = random_plane()
    flipped = FLIPS["right"](plane)
    np.testing.assert_array_equal(flipped.phi, plane.phi)
    np.testing.assert_array_equal(np.abs(flipped.eta), np.abs(plane.eta))
    for eta, _, pt in by_jet(flipped):
        assert pt[eta > 0].sum() >= pt[eta < 0].sum()


def test_the_quadrant_of_most_pt_is_the_upper_right():
    plane = random_plane()
    flipped = FLIPS["upper_right"](plane)
    np.testing.assert_array_equal(np.abs(flipped.eta), np.abs(plane.eta))
    for eta, phi, pt in by_jet(flipped):
        quadrants = [pt[(eta * x > 0) & (phi * y > 0)].sum() for x in (1, -1) for y in (1, -1)]
        assert max(quadrants) == quadrants[0]
    lower_left = FLIPS["upper_right"](jets_of([(-0.1, -0.3, 10), (0.2, 0.1, 5)]))
    np.testing.assert_array_equal(lower_left.phi, [0.3, -0.1])


def test_centres_close_to_half_a_turn_are_as_good_as_any():
    moved = CENTERS["hardest"](jets_of([(0.0, 3.1, 9), (0.0, -3.1, 4)]), RADIUS)
    np.testing.assert_allclose(moved.phi, [0, 2 * np.pi - 6.2], atol=1e-9)
