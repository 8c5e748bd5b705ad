"""Sequences of vectors, each of another number of steps, for the course's tasks on recurrent networks.

sequences = draw_vectors(1000, rng=rng, steps=(5, 20))
sequences.vectors.shape, sequences.mask.sum(axis=1)         # (1000, 20, 2), 5 to 20 each
sequences.lengths.max(axis=1)                               # the largest length of each sequence
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError

__all__ = ["Sequences", "draw_vectors"]


class Sequences(NamedTuple):
    """Vectors in order, padded on the right.

    Attributes:
        vectors: (sequence, step, component); 0 in the padding.
        mask: (sequence, step), True for a vector, False for padding.
    """

    vectors: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]

    @property
    def lengths(self) -> npt.NDArray[np.float32]:
        """Length of each vector, (sequence, step), in the unit of its components; 0 in the padding."""
        return np.sqrt(np.sum(self.vectors**2, axis=-1))


def draw_vectors(
    n_sequences: int, *, rng: np.random.Generator, steps: tuple[int, int] = (5, 20), n_components: int = 2
) -> Sequences:
    """Returns sequences whose vectors have independent components from the normal distribution of width 1.

    All directions are equally likely, so a component alone says little about the length, and there is no largest
    length. In two dimensions the lengths follow the Rayleigh distribution.

    Args:
        n_sequences: how many.
        rng: where they come from.
        steps: fewest and most vectors in a sequence; all numbers between are equally likely. The arrays have as many
            steps as the most.
        n_components: of a vector.

    Raises:
        InputError: there are no such sequences.
    """
    fewest, most = steps
    if not 1 <= fewest <= most or n_components < 1 or n_sequences < 0:
        raise InputError(
            f"asked for {n_sequences} sequences of {fewest} to {most} vectors with {n_components} components; "
            "give at least one vector and one component, and the smaller number of vectors first."
        )
    n_steps = rng.integers(fewest, most, size=n_sequences, endpoint=True)
    mask = np.arange(most) < n_steps[:, None]
    vectors = rng.standard_normal((n_sequences, most, n_components), dtype=np.float32)
    return Sequences(vectors * mask[..., None], mask)
