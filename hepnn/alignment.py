"""Alignment: jets moved, turned and mirrored to a common place, so that a network need not learn where they lie.

In go the particles of jets in the plane of Δη and Δφ about the jet axis (`Plane`); they come out moved, which changes
no particle's pT. Everything is worked out from the particles, before any pixel is filled, as Macaluso and Shih
(arXiv:1803.00107) do: turning pixels would blur them. The published steps, by name:

- `CENTERS`, what comes to lie at the origin: the jet ``axis``; the ``hardest`` particle; the pT-weighted ``centroid``
  (Komiske, Metodiev, Schwartz 2016, arXiv:1612.01551; Macaluso, Shih); the ``subjet`` of highest pT (Cogan et al. 2014,
  arXiv:1407.5675; de Oliveira et al. 2015, arXiv:1511.05190).
- `ROTATIONS` about the origin: with ``second_subjet``, the subjet of second highest pT lies straight below the one of
  highest pT, towards negative φ (Cogan et al.; de Oliveira et al.); with ``principal_axis``, the jet's longest axis
  lies along φ, turned by the smaller angle (Macaluso, Shih; Kasieczka et al. 2019, arXiv:1902.09914).
- `FLIPS`: with ``right``, more pT lies at positive η than at negative (de Oliveira et al.); with ``upper_right``, the
  quadrant of most pT is the one of positive η and φ (Macaluso, Shih; Kasieczka et al.).

A jet without particles stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.pixels import sums_at

__all__ = ["CENTERS", "FLIPS", "ROTATIONS", "SUBJET_RADIUS", "Plane", "hardest_of", "plane_of", "subjets_of"]
__all__ += ["wrapped"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SUBJET_RADIUS = 0.3
"""Radius of subjets, in rad: de Oliveira et al. 2015 (arXiv:1511.05190)."""

_LEAST_SUBJET = 0.05
"""Share of the jet's pT below which a subjet does not count: de Oliveira et al. trim those away."""

_SEEDS = 4
"""Subjets looked for. Two are used, but the two hardest particles need not be those of the two hardest subjets."""

_ROUNDING = 1e9
"""1/rad. Places are rounded to its inverse, so that what belongs on the origin or an axis, which are edges of pixels if
their number is even, lies there exactly; else the order of the particles would decide on which side."""

_LEAST_SPREAD = 1e-12
"""Variance, in rad², below which a jet is a point and has no direction."""


class Plane(NamedTuple):
    """The particles of jets in the plane about their axes, one jet after another.

    Attributes:
        eta: (particle,) Δη.
        phi: (particle,) Δφ, in rad.
        pt: (particle,) GeV.
        counts: (jet,) particles of each jet.
        jet: (particle,) the jet of each; see `plane_of`.
    """

    eta: Floats
    phi: Floats
    pt: Floats
    counts: Integers
    jet: Integers

    def sums(self, values: Floats) -> Floats:
        """The sum of ``values``, (particle,), over the particles of each jet, (jet,)."""
        return sums_at(self.jet, values, n=len(self.counts))

    def mean(self, values: Floats, weights: Floats) -> Floats:
        """The weighted mean of ``values`` in each jet, (jet,); 0 where the weights are 0."""
        return _ratio(self.sums(values * weights), self.sums(weights))

    def each(self, of_jets: Floats) -> Floats:
        """One number a jet, repeated for each of its particles."""
        return np.repeat(of_jets, self.counts)

    def moved(self, eta: Floats, phi: Floats) -> Plane:
        """The same with the points ``eta`` and ``phi``, (jet,), at the origin."""
        return self._replace(eta=_rounded(self.eta - self.each(eta)), phi=_rounded(wrapped(self.phi - self.each(phi))))

    def turned(self, eta: Floats, phi: Floats) -> Plane:
        """The same turned about the origin so that the unit vectors ``eta`` and ``phi``, (jet,), point along φ."""
        along_eta, along_phi = self.each(eta), self.each(phi)
        return self._replace(
            eta=_rounded(along_phi * self.eta - along_eta * self.phi),
            phi=_rounded(along_eta * self.eta + along_phi * self.phi),
        )


def plane_of(eta: Floats, phi: Floats, pt: Floats, counts: Integers) -> Plane:
    """Returns the plane with these particles; arguments as its attributes."""
    return Plane(eta, phi, pt, counts, np.repeat(np.arange(len(counts)), counts))


def wrapped(angle: Floats) -> Floats:
    """Returns azimuths in [−π, π), in rad; NumPy's remainder would take several times as long."""
    return angle - 2 * np.pi * np.floor(angle * (0.5 / np.pi) + 0.5)


def _rounded(places: Floats) -> Floats:
    return np.rint(places * _ROUNDING) / _ROUNDING


def hardest_of(values: Floats, counts: Integers) -> Integers:
    """Returns the index of the greatest of ``values`` in each jet that has any, (jet with particles,).

    Args:
        values: (particle,).
        counts: (jet,) particles of each jet.
    """
    starts = (np.cumsum(counts) - counts)[counts > 0]
    if not len(starts):
        return starts
    greatest = np.repeat(np.maximum.reduceat(values, starts), counts[counts > 0])
    at = np.flatnonzero(values == greatest)
    return at[np.searchsorted(at, starts)]  # where several are equal, the first


def subjets_of(plane: Plane, *, radius: float) -> tuple[Floats, Floats, Floats]:
    """Returns η, φ and pT of the two subjets of highest pT, (jet, 2) each, by falling pT; zeros where there is none.

    A subjet is a cone about the hardest particle that is in none yet, as the hard jets of anti-kT are; the papers
    cluster with kT or Cambridge/Aachen. Its place is its pT-weighted centroid.

    Args:
        plane: the jets.
        radius: of the cones, in rad; two prongs nearer than this are one.
    """
    filled = plane.counts > 0
    n_jets = len(filled)
    free = plane.pt.copy()
    found = np.zeros((3, n_jets, _SEEDS))
    for number in range(_SEEDS):
        seeds = np.zeros((2, n_jets))
        at = hardest_of(free, plane.counts)
        seeds[:, filled] = plane.eta[at], plane.phi[at]
        distance = (plane.eta - plane.each(seeds[0])) ** 2 + (plane.phi - plane.each(seeds[1])) ** 2
        taken = np.where(distance < radius**2, free, 0)
        found[..., number] = plane.sums(plane.eta * taken), plane.sums(plane.phi * taken), plane.sums(taken)
        free -= taken
    found[:2] = _ratio(found[:2], found[2])
    order = np.argsort(-found[2], axis=1, kind="stable")[:, :2]
    eta, phi, pt = (np.take_along_axis(part, order, axis=1) for part in found)
    return eta, phi, pt


def _at_axis(plane: Plane, radius: float) -> Plane:
    return plane


def _at_hardest(plane: Plane, radius: float) -> Plane:
    places = np.zeros((2, len(plane.counts)))
    at = hardest_of(plane.pt, plane.counts)
    places[:, plane.counts > 0] = plane.eta[at], plane.phi[at]
    return plane.moved(*places)


def _at_centroid(plane: Plane, radius: float) -> Plane:
    return plane.moved(plane.mean(plane.eta, plane.pt), plane.mean(plane.phi, plane.pt))


def _at_subjet(plane: Plane, radius: float) -> Plane:
    eta, phi, _ = subjets_of(plane, radius=radius)
    return plane.moved(eta[:, 0], phi[:, 0])


def _second_subjet_below(plane: Plane, radius: float) -> Plane:
    """Jets whose second subjet is missing or soft are turned by their principal axis, as de Oliveira et al. do."""
    eta, phi, pt = subjets_of(plane, radius=radius)
    from_second_to_first = np.stack([eta[:, 0] - eta[:, 1], phi[:, 0] - phi[:, 1]])
    distance = np.hypot(*from_second_to_first)
    has_second = (pt[:, 1] > _LEAST_SUBJET * plane.sums(plane.pt)) & (distance > 0)
    direction = np.where(has_second, from_second_to_first / np.where(has_second, distance, 1), _principal_axis(plane))
    return plane.turned(*direction)


def _principal_axis_along_phi(plane: Plane, radius: float) -> Plane:
    return plane.turned(*_principal_axis(plane))


def _principal_axis(plane: Plane) -> Floats:
    """The direction of greatest pT-weighted variance, with φ ≥ 0, (2, jet); (0, 1) where there is none."""
    eta = plane.eta - plane.each(plane.mean(plane.eta, plane.pt))
    phi = plane.phi - plane.each(plane.mean(plane.phi, plane.pt))
    variance_eta, variance_phi = plane.mean(eta**2, plane.pt), plane.mean(phi**2, plane.pt)
    # of the two angles that solve tan 2θ = 2 cov / (var η − var φ), this is the one of the greater variance
    angle = 0.5 * np.arctan2(2 * plane.mean(eta * phi, plane.pt), variance_eta - variance_phi)
    direction = np.stack([np.cos(angle), np.sin(angle)])
    direction *= np.where(direction[1] < 0, -1, 1)
    is_point = variance_eta + variance_phi < _LEAST_SPREAD
    return np.where(is_point, np.array([[0.0], [1.0]]), direction)


def _right(plane: Plane) -> Plane:
    side = plane.sums(plane.pt * np.sign(plane.eta))
    return plane._replace(eta=plane.eta * plane.each(np.where(side < 0, -1.0, 1.0)))


def _upper_right(plane: Plane) -> Plane:
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    quadrants = np.stack([plane.sums(plane.pt * ((plane.eta * eta > 0) & (plane.phi * phi > 0))) for eta, phi in signs])
    eta, phi = signs[quadrants.argmax(axis=0)].T
    return plane._replace(eta=plane.eta * plane.each(eta), phi=plane.phi * plane.each(phi))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


CENTERS: dict[str, Callable[[Plane, float], Plane]] = {
    "axis": _at_axis,
    "hardest": _at_hardest,
    "centroid": _at_centroid,
    "subjet": _at_subjet,
}
"""What comes to lie at the origin; each takes the jets and the radius of subjets."""

ROTATIONS: dict[str, Callable[[Plane, float], Plane]] = {
    "second_subjet": _second_subjet_below,
    "principal_axis": _principal_axis_along_phi,
}

FLIPS: dict[str, Callable[[Plane], Plane]] = {"right": _right, "upper_right": _upper_right}
