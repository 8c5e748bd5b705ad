"""coffea: a tagger as one of coffea's ``ml_tools`` (the extra ``hepnn[coffea]``).

In a processor a tagger can be called as it is; this is for code that takes a ``numpy_call_wrapper``, as coffea's own
wrappers of TensorFlow, PyTorch, XGBoost and Triton are. Arrays of dask-awkward are refused.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn.errors import DependencyError, InputError
from hepnn.jets import check_jets, nested_like
from hepnn.tensors import Tensors

_Wrapper: Any
try:
    from coffea.ml_tools import numpy_call_wrapper

    _Wrapper = numpy_call_wrapper
except ImportError:  # said when one is made
    _Wrapper = None

__all__ = ["TaggerWrapper"]


class TaggerWrapper(_Wrapper or object):  # type: ignore[misc]  # known only at run time
    """Gives the scores of jets, nested like them; the same as calling the tagger.

    Args:
        tagger: a trained `hepnn.Tagger`.

    Raises:
        DependencyError: coffea is missing.
    """

    def __init__(self, tagger: Any) -> None:
        if _Wrapper is None:
            raise DependencyError(
                "asked for a wrapper of coffea's; the package is missing. Install it with pip install 'hepnn[coffea]'."
            )
        super().__init__()
        self.tagger = tagger

    def prepare_awkward(self, jets: ak.Array) -> tuple[tuple[Tensors], dict[str, Any]]:
        """Returns the tensors of the jets, (jet,) or nested, as the argument of `numpy_call`."""
        if not isinstance(jets, ak.Array):
            raise InputError(
                f"asked for the scores of {type(jets).__name__}; give jets in memory or virtual ones, such as "
                'NanoEventsFactory.from_root(…, mode="virtual") has.'
            )
        flat = jets
        while flat.ndim > 1:
            flat = ak.flatten(flat)
        return (self.tagger.tensors(check_jets(flat)),), {}

    def validate_numpy_input(self, tensors: Tensors) -> None:
        """Does nothing: `prepare_awkward` has checked the jets."""

    def numpy_call(self, tensors: Tensors) -> npt.NDArray[np.float32]:
        """Returns the probability of each class, (jet, class)."""
        scores: npt.NDArray[np.float32] = self.tagger.scores(tensors)
        return scores

    def postprocess_awkward(self, probabilities: ak.Array, jets: ak.Array) -> ak.Array:
        """Returns the scores as records with one field a class, nested like the jets."""
        return nested_like(jets, lambda _: self.tagger.records(ak.to_numpy(probabilities)))
