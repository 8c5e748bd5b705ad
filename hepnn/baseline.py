"""The baseline: boosted trees on jet observables, what a network has to beat.

`BoostedTrees` takes jets like `hepnn.Tagger` does, so the two stand side by side in any script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier

from hepnn import __version__, defaults, forests
from hepnn.errors import FeatureError, InputError, TaggerError
from hepnn.features import (
    JET_FEATURES,
    Feature,
    by_name_or_own,
    evaluate_features,
    features_named,
    names_of_features,
    resolve_features,
)
from hepnn.forests import forest_model, probabilities_of, verified
from hepnn.guarded import content_of
from hepnn.jets import as_jets, check_jets, labels_of, nested_like
from hepnn.oddities import check_momenta
from hepnn.runtime import Session
from hepnn.staging import staged
from hepnn.targets import classes_in

__all__ = ["OBSERVABLES", "BoostedTrees"]

OBSERVABLES = (
    "n_particles",
    "n_charged",
    "particle_mass",
    "girth",
    "les_houches_angularity",
    "pt_dispersion",
    "leading_pt_fraction",
    "jet_log_pt",
    "jet_abs_eta",
)
"""Observables of Gallicchio and Schwartz 2013 (arXiv:1211.7038) and of the CMS quark–gluon tagger (JME-13-002)."""


class BoostedTrees(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Tells the classes of jets apart with histogram-based gradient boosting, as in LightGBM (Ke et al., NeurIPS 2017).

    Args:
        observables: names in `hepnn.features.JET_FEATURES`, or functions ``(jets) -> (n_jets,)``.
        max_iter: trees a class.
        learning_rate: shrinkage of each tree.
        seed: of the split that stops the boosting.
    """

    def __init__(
        self,
        observables: Iterable[str | Feature | Callable[..., Any]] = OBSERVABLES,
        *,
        max_iter: int = 300,
        learning_rate: float = 0.05,
        seed: int = defaults.SEED,
    ) -> None:
        self.observables = observables
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.seed = seed

    def fit(self, jets: ak.Array, y: Any = None, sample_weight: Any = None) -> Self:
        """Returns the trees, grown on these jets.

        Args:
            jets: (jet,) records that keep the contract of `hepnn.jets`.
            y: (jet,) classes; ``jets.label`` if None.
            sample_weight: (jet,) weights, or None.

        Raises:
            InputError: no labels.
            FeatureError: an observable cannot be worked out.
        """
        jets = as_jets(jets)
        labels = labels_of(jets, y)
        trees = HistGradientBoostingClassifier(
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            early_stopping=True,
            random_state=self.seed,
        )
        self._onnx: bytes | None = None
        self._session: Session | None = None
        self.trees_ = trees.fit(self._columns(jets), labels, sample_weight=sample_weight)
        self.classes_ = trees.classes_
        self.n_features_in_ = trees.n_features_in_
        return self

    @property
    def onnx_(self) -> bytes:
        """The trees as an ONNX model (`hepnn.forests`), with the names of classes and observables."""
        self._check_fitted()
        if self._onnx is None:
            about = {
                "classes": self.classes_.tolist(),
                "observables": names_of_features(self._features(), JET_FEATURES),
                "settings": {name: value for name, value in self.get_params().items() if name != "observables"},
                "version": __version__,
            }
            self._onnx = forest_model(self.trees_, metadata=about)
        return self._onnx

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Returns the file, ``*.onnx``, that the trees were written to.

        Raises:
            OutputError: it exists and ``overwrite`` is not set, or cannot be written.
            TaggerError: not grown.
        """
        content = self.onnx_
        with staged(path, overwrite=overwrite) as part:
            part.write_bytes(content)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, *, custom: Iterable[Callable[..., Any] | Feature] = ()) -> BoostedTrees:
        """Returns the trees that `save` wrote; no Python from the file is run.

        Args:
            path: the file.
            custom: the functions of your own among the observables.

        Raises:
            TaggerError: no such file, or it is damaged.
            FeatureError: an observable is neither built in nor among ``custom``.
        """
        try:
            content = content_of(Path(path))
        except OSError as error:
            raise TaggerError(f"asked for the boosted trees in {path}; {error.strerror or error}.") from error
        about = verified(content, where=str(path))
        own: dict[str, Any] = {part.name if isinstance(part, Feature) else part.__name__: part for part in custom}
        try:
            trees = cls(by_name_or_own(features_named(about["observables"], JET_FEATURES, own), JET_FEATURES))
            trees.set_params(**about["settings"])
            trees.classes_ = classes_in(about["classes"])
            trees.n_features_in_ = len(about["observables"])
        except (FeatureError, InputError):
            raise
        except Exception as error:  # what somebody else wrote into it can be anything
            raise TaggerError(
                f"asked for the boosted trees in {path}; what it says of them is not as hepnn writes it "
                f"({type(error).__name__}: {str(error)[:200]}). Grow them again."
            ) from error
        trees.trees_, trees._onnx, trees._session = None, content, None
        return trees

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_session": None}  # opened again when needed

    def _check_fitted(self) -> None:
        if not hasattr(self, "classes_"):
            raise TaggerError("these trees are not grown yet: call fit(jets), or BoostedTrees.load(file).")

    def predict_proba(self, jets: ak.Array) -> npt.NDArray[np.float64]:
        """Returns the probability of each class, (jet, class), columns as in ``classes_``.

        Raises:
            TaggerError: not fitted.
        """
        self._check_fitted()
        columns = self._columns(jets)
        if self.trees_ is not None:
            return np.asarray(self.trees_.predict_proba(columns))
        if self._session is None:
            self._session = Session(self.onnx_)
        found = probabilities_of(self._session.run({forests.INPUT: columns}))
        if found.shape[1] != len(self.classes_):
            raise TaggerError(
                f"asked for the probabilities of {', '.join(map(str, self.classes_))}; the trees give {found.shape[1]}. They "
                "are not as hepnn writes them: grow them again."
            )
        return found

    def records(self, probabilities: npt.NDArray[Any]) -> ak.Array:
        """Returns probabilities, (jet, class), as records with one field a class, (jet,)."""
        return ak.zip({str(name): probabilities[:, i] for i, name in enumerate(self.classes_)})

    def __call__(self, jets: ak.Array) -> ak.Array:
        """Returns the probabilities as records with one field a class, nested like ``jets``."""
        return nested_like(jets, lambda flat: self.records(self.predict_proba(flat)))

    def predict(self, jets: ak.Array) -> npt.NDArray[Any]:
        """Returns the most probable class of each jet, (jet,)."""
        best = self.predict_proba(jets).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def score(self, jets: ak.Array, y: Any = None, sample_weight: Any = None) -> float:
        """Returns the share of jets whose most probable class is the true one."""
        return float(np.average(self.predict(jets) == labels_of(as_jets(jets), y), weights=sample_weight))

    def _features(self) -> tuple[Feature, ...]:
        return resolve_features(self.observables, JET_FEATURES)

    def _columns(self, jets: ak.Array) -> npt.NDArray[np.float32]:
        jets = check_jets(as_jets(jets))
        check_momenta(jets)
        return evaluate_features(jets, self._features(), collection=None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags
