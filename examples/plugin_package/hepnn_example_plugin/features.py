"""A feature of particles."""

import numpy as np


def log_kt(particles, jet):
    """Ln of the transverse momentum to the jet axis, the ordinate of the Lund plane (arXiv:1807.04758)."""
    delta_r = np.hypot(particles.eta - jet.eta, np.arcsin(np.sin(particles.phi - jet.phi)))
    return np.log(np.maximum(particles.pt * delta_r, 1e-3))
