"""Trained taggers, and what they are for: scores of jets.

`TrainedTagger` is the half of a `hepnn.Tagger` that applies what was learned. It is all that ``hepnn tag`` and the workers
of a cluster load: neither scikit-learn, which takes longer to import than everything else here together, nor TensorFlow.

What was learned is in plain attributes (``classes_``, ``representation_``, ``inputs_``, ``weights_``, ``training_``); the
Keras model itself, ``model_``, is built from them when it is first needed. ONNX Runtime scores, with the same network as
ONNX (``onnx_``). A folder has that too, so applying a tagger loads no TensorFlow. Only a network with a layer that has no
translation is scored by Keras, and a `HepnnWarning` says so.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from hepnn import defaults, storage
from hepnn.errors import HepnnWarning, TaggerError
from hepnn.features import Feature
from hepnn.jets import as_jets, check_jets, nested_like
from hepnn.models import build_model
from hepnn.oddities import odd_in, warn_of_odd
from hepnn.precision import check_precision
from hepnn.prefetch import prefetched
from hepnn.schema import Schema, load_schema
from hepnn.tensors import Representation, Tensors, TensorSpec

__all__ = ["TrainedTagger"]

_CHUNK = 10_000
"""Jets turned into tensors at once when scoring, while those before them are scored; bounds memory."""


class TrainedTagger:
    """Tells the classes of jets apart; made by `load`, or by training a `hepnn.Tagger`."""

    classes_: npt.NDArray[Any]
    inputs_: dict[str, TensorSpec]
    model: str | Callable[..., Any]
    model_options_: Mapping[str, Any]
    representation_: Representation
    schema: str | Path | Schema | None
    weights_: dict[str, npt.NDArray[Any]]
    why_keras_: str
    precision_ = defaults.PRECISION  # `load` can set a lower one, for scoring with what was trained before

    def _build(self) -> Any:
        return build_model(self.model, self.inputs_, n_classes=len(self.classes_), options=self.model_options_)

    @property
    def model_(self) -> Any:
        """The trained Keras model: takes a dict of tensors, gives probabilities (jet, class)."""
        if getattr(self, "_model", None) is None:
            self._check_fitted()
            self._model = self._build()
            storage.set_weights(self._model, self.weights_)
        return self._model

    @property
    def onnx_(self) -> bytes | None:
        """The trained network as an ONNX model, proven to give what ``model_`` gives (`hepnn.onnx_export.export`).

        Made when it is first needed; None if there is no translation, and ``why_keras_`` says why.
        """
        if "_onnx" not in self.__dict__:
            from hepnn.onnx_export import export

            self._check_fitted()
            try:
                self._onnx: bytes | None = export(self)
                self.why_keras_ = ""
            except TaggerError as error:
                self._onnx = None
                self.why_keras_ = str(error)
        return self._onnx

    @onnx_.setter
    def onnx_(self, content: bytes | None) -> None:
        self._onnx = content
        self._session: Any = None  # opened when something is scored

    @property
    def needs_keras_(self) -> bool:
        """Whether scoring loads Keras and TensorFlow."""
        return self.__dict__.get("_onnx") is None

    def _check_fitted(self) -> None:
        if not hasattr(self, "weights_"):
            raise TaggerError("this tagger is not trained yet: call fit(jets) of a hepnn.Tagger, or load(folder).")

    def _warn_of_keras(self) -> None:
        slow = "this tagger is scored by Keras, which takes several times as long as ONNX Runtime"
        warnings.warn(f"{slow}: {self.why_keras_}", HepnnWarning, stacklevel=3)

    def tensors(self, jets: ak.Array) -> Tensors:
        """Returns what the network is given for these jets, to be scored with `scores`; errors as in `predict_proba`."""
        self._check_fitted()
        made: Tensors = self.representation_.tensors(check_jets(as_jets(jets)))
        return made

    def scores(self, tensors: Tensors) -> npt.NDArray[np.float32]:
        """Returns the probability of each class, (jet, class), for what `tensors` made.

        Raises:
            TaggerError: not fitted, or the tensors or the ONNX model are not this tagger's.
        """
        content = self.onnx_
        if content is None:
            from hepnn import training

            self._warn_of_keras()
            return training.predict(self.model_, tensors)
        if getattr(self, "_session", None) is None:
            from hepnn.precision import lowered
            from hepnn.runtime import Session

            session = Session(content)
            session.check(self.inputs_, n_classes=len(self.classes_), checksum=storage.checksum(self.weights_))
            if self.precision_ != defaults.PRECISION:
                session = Session(lowered(content, precision=self.precision_))
            self._session = session
        return self._session.scores(tensors)

    def predict_proba(self, jets: ak.Array) -> npt.NDArray[np.float32]:
        """Returns the probability of each class, (jet, class), columns as in ``classes_``.

        A `HepnnWarning` says so where jets look like those of no physics (`hepnn.oddities`).

        Raises:
            TaggerError: not fitted.
            InputError: the jets do not keep the contract.
            FeatureError: a feature cannot be worked out.
        """
        self._check_fitted()
        jets, odd = check_jets(as_jets(jets)), Counter[str]()

        def made(start: int) -> Tensors:
            chunk = jets[start : start + _CHUNK]
            tensors = self.tensors(chunk)
            odd.update(odd_in(chunk))
            return tensors

        chunks = map(made, range(0, len(jets), _CHUNK))
        parts = [self.scores(tensors) for tensors in (prefetched(chunks) if len(jets) > _CHUNK else chunks)]
        warn_of_odd(odd)
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes_)), np.float32)

    def records(self, probabilities: npt.NDArray[Any]) -> ak.Array:
        """Returns probabilities, (jet, class), as records with one field a class, (jet,)."""
        return ak.zip({str(name): probabilities[:, i] for i, name in enumerate(self.classes_)})

    def predict(self, jets: ak.Array) -> npt.NDArray[Any]:
        """Returns the most probable class of each jet, (jet,)."""
        best = self.predict_proba(jets).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def __call__(self, jets: ak.Array) -> ak.Array:
        """Returns the scores as records with one field a class, nested like ``jets``."""
        return nested_like(jets, lambda flat: self.records(self.predict_proba(flat)))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        custom: Iterable[Callable[..., Any] | Feature] = (),
        precision: str = defaults.PRECISION,
    ) -> Self:
        """Returns the tagger kept in ``folder``.

        Scoring takes the ONNX model in the folder, and no Keras. Where the Keras model is asked for, hepnn's own code
        builds it again; no Python from the folder is run.

        Args:
            folder: what `hepnn.Tagger.save` wrote.
            custom: the functions of your own that it was made with, for features or the model.
            precision: "float32", or "int8" to score faster and not quite as exactly (`hepnn.precision`).

        Raises:
            InputError: an unknown precision.
            TaggerError: no tagger there, a damaged or changed file, or a custom function that was not given.
        """
        own: dict[str, Any] = {part.name if isinstance(part, Feature) else part.__name__: part for part in custom}
        check_precision(precision)
        tagger: Self = storage.load(cls, Path(folder), custom=own)
        tagger.precision_ = precision
        return tagger

    def _take_settings(self, settings: Mapping[str, Any]) -> None:
        """Keeps the settings of the training; applying what was learned takes none of them."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        for name in ("_model", "_session"):  # made again from weights_ and onnx_ when needed
            state.pop(name, None)
        return state

    def read_schema(self) -> Schema | None:
        """Returns the schema the tagger was trained with, or None if it was trained on jets from elsewhere."""
        return self.schema if isinstance(self.schema, Schema | None) else load_schema(self.schema)
