"""The tagger: representation, scaling and network, fitted together, saved together, applied to any jets.

A `Tagger` is a scikit-learn classifier whose samples are jets, an awkward array. Calling it gives scores as records
that nest like what went in:

    tagger = hepnn.Tagger(model="gru").fit(jets)
    scores = tagger(events.jets)        # event → jet → {quark: 0.93, gluon: 0.07}

After `fit` or `load` it has what a `hepnn.trained.TrainedTagger` has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import awkward as ak
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from hepnn import defaults, storage
from hepnn.clouds import Names
from hepnn.errors import InputError
from hepnn.jets import as_jets, labels_of
from hepnn.representations import describe
from hepnn.schema import Schema
from hepnn.settings import check_settings, fingerprint
from hepnn.shards import Shards
from hepnn.tensors import Representation
from hepnn.trained import TrainedTagger
from hepnn.workers import join

__all__ = ["Tagger"]


class Tagger(ClassifierMixin, TrainedTagger, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Tells the classes of jets apart with a network on their particles.

    Args:
        model: a name in `hepnn.models.MODELS`, ``package.module:function``, or a function that builds the model.
        model_options: keyword arguments of that function, such as ``{"units": (64,)}``.
        representation: how jets become tensors: a key of `hepnn.representations.REPRESENTATIONS`, or "auto" for what the
            model takes of such jets, or one that is made already, such as a `hepnn.images.JetImage`. A cloud is made
            from the five settings that follow ``representation_options``.
        representation_options: keyword arguments of an image, such as ``{"size": 25}``.
        features: what is seen of each particle: "auto" (all of `hepnn.features.AUTO_SETS` that the jets provide),
            names of features or sets, or Python functions. A mapping gives them for several collections.
        jet_features: what is seen of the jet as a whole: names in `hepnn.features.JET_FEATURES`, or functions.
        max_particles: only so many particles of a jet are kept, the hardest.
        order_by: the particles' field that orders the sequence.
        descending: whether the greatest comes first.
        scaling: "fixed" for the features' own centre and scale, "fitted" to work them out from the training jets.
        augment: how training jets are varied: names in `hepnn.augmentation.AUGMENTATIONS`, of images in
            `hepnn.image_augmentation.IMAGE_AUGMENTATIONS`; "auto" for the representation's own choice.
        class_weight: "balanced", or a weight for each class, or None.
        validation_fraction: share of the jets given to `fit` that is kept from training, to choose the best epoch.
        epochs: most epochs.
        batch_size: jets a batch.
        n_buckets: distinct lengths that batches are padded to.
        learning_rate: its peak.
        warmup: share of the training until that peak.
        weight_decay: of AdamW.
        patience: stop after so many epochs without a better validation AUC.
        calibrate: whether the validation jets set the temperature of the probabilities (`hepnn.temperature`), which is
            then ``temperature_``; it changes neither the order of the jets nor the most probable class.
        seed: of all that is random.
        start_from: folder of a tagger to start from: the layers before the head are its own, inputs are scaled as there,
            and of model options, representation and features what is left open is as there. The size of images, the
            number of particles and the classes may be others.
        freeze: "features" to keep those layers as they are, or None to train them on.
        distribute: "mirrored" to train on all GPUs of the machine, "multi-worker" to train in several processes that
            ``TF_CONFIG`` names, each of which fits the same (`hepnn.workers`), or None for one device.
        mixed_precision: train with half as many bits, which GPUs do faster; scores are float32 all the same.
        schema: how the files spell these jets, a name, a TOML file or a `Schema`; stored for later reading.
    """

    def __init__(
        self,
        model: str | Callable[..., Any] = defaults.MODEL,
        *,
        model_options: Mapping[str, Any] | None = None,
        representation: str | Representation = defaults.REPRESENTATION,
        representation_options: Mapping[str, Any] | None = None,
        features: Names | Mapping[str, Names] = defaults.FEATURES,
        jet_features: Names = (),
        max_particles: int = defaults.MAX_PARTICLES,
        order_by: str = "pt",
        descending: bool = True,
        scaling: str = defaults.SCALING,
        augment: str | Sequence[str] = defaults.AUGMENT,
        class_weight: str | Mapping[Any, float] | None = None,
        validation_fraction: float = defaults.VALIDATION_FRACTION,
        epochs: int = defaults.EPOCHS,
        batch_size: int = defaults.BATCH_SIZE,
        n_buckets: int = defaults.N_BUCKETS,
        learning_rate: float = defaults.LEARNING_RATE,
        warmup: float = defaults.WARMUP,
        weight_decay: float = defaults.WEIGHT_DECAY,
        patience: int = defaults.PATIENCE,
        calibrate: bool = False,
        seed: int = defaults.SEED,
        start_from: str | Path | None = None,
        freeze: str | None = None,
        distribute: str | None = None,
        mixed_precision: bool = False,
        schema: str | Path | Schema | None = None,
    ) -> None:
        self.model = model
        self.model_options = model_options
        self.representation = representation
        self.representation_options = representation_options
        self.features = features
        self.jet_features = jet_features
        self.max_particles = max_particles
        self.order_by = order_by
        self.descending = descending
        self.scaling = scaling
        self.augment = augment
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.epochs = epochs
        self.batch_size = batch_size
        self.n_buckets = n_buckets
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.patience = patience
        self.calibrate = calibrate
        self.seed = seed
        self.start_from = start_from
        self.freeze = freeze
        self.distribute = distribute
        self.mixed_precision = mixed_precision
        self.schema = schema

    def fit(
        self,
        jets: ak.Array,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation: Any = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Any] = (),
    ) -> Self:
        """Returns the tagger, trained on these jets.

        Args:
            jets: (jet,) records that keep the contract of `hepnn.jets`; or `hepnn.Shards`, of which no more than a
                window is in memory.
            y: (jet,) classes, names or numbers; ``jets.label`` if None.
            sample_weight: (jet,) weights, none of them negative, or None; for shards the name of the field that has them.
            validation: jets that choose the best epoch, or a tuple of jets, classes and weights as for training; if
                None, ``validation_fraction`` of ``jets``.
            checkpoint: file that keeps the state after each epoch; if it is there, training goes on from it.
            callbacks: Keras callbacks.

        Raises:
            InputError: a setting makes no sense, no labels, fewer than two classes, a class without weight among the
                validation jets, or weights that cannot be used.
            TaggerError: the checkpoint is of another training, or this tagger cannot start from the other one.
            FeatureError: a feature cannot be worked out.
            ClusterError: workers cannot meet, one ended, or one was told something else than the others.
        """
        from hepnn import lessons, training, transfer

        check_settings(self.get_params(deep=False))
        team = join() if self.distribute == "multi-worker" else None
        if not isinstance(jets, Shards):
            lesson = lessons.lesson_of_jets(self, jets, y=y, sample_weight=sample_weight, validation=validation)
        elif y is None and isinstance(sample_weight, str | None):
            lesson = lessons.lesson_of_shards(self, jets, validation=validation, weight=sample_weight)
        else:
            raise InputError(
                "asked to train on shards with classes or weights beside them; they have their own. Give the name of the "
                "field with the weights as sample_weight."
            )
        start = lesson.start
        elsewhere = training.placed(distribute=self.distribute, mixed_precision=self.mixed_precision)
        with training.seeded(self.seed), elsewhere:
            model = self._build()
            self.origin_ = start and transfer.begin(
                model,
                start,
                path=self.start_from or "",
                checksum=storage.checksum(start.weights_),
                freeze=self.freeze,
            )
            self.training_ = training.fit_model(
                model,
                lesson.batches,
                validation=lesson.validating,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                warmup=self.warmup,
                weight_decay=self.weight_decay,
                patience=self.patience,
                checkpoint=None if checkpoint is None else Path(checkpoint),
                fingerprint=fingerprint(
                    {**self.get_params(deep=False), "start_from": self.origin_ and self.origin_.checksum},
                    representation=describe(self.representation_),
                    classes=self.classes_,
                    inputs=self.inputs_,
                    jets=lesson.known_by() if checkpoint is not None or team is not None else {},
                ),
                callbacks=callbacks,
                team=team,
            )
        self.temperature_ = 1.0
        if self.calibrate:
            from hepnn.temperature import calibrate_model

            self.temperature_ = calibrate_model(model, validation=lesson.validating)
        self.n_truncated_ = self.training_.n_truncated
        self.precision_ = defaults.PRECISION
        for made_from_others in ("_onnx", "_session", "why_keras_"):
            self.__dict__.pop(made_from_others, None)
        self.weights_ = {v.path: np.asarray(v) for v in model.weights}
        self._model = None if self.distribute or self.mixed_precision else model  # built again as it is to be used
        return self

    @property
    def n_features_in_(self) -> int:
        """Number of features of a jet and of its particles (channels of an image) that the network is given.

        scikit-learn's number of columns; the number of particles is no part of it.
        """
        if not hasattr(self, "inputs_"):
            raise AttributeError("n_features_in_ is known once the tagger is trained: call fit(jets).")
        return sum(len(spec.scaling.center) for spec in self.inputs_.values())

    def score(self, jets: ak.Array, y: Any = None, sample_weight: Any = None) -> float:
        """Returns the share of jets whose most probable class is the true one.

        Args:
            jets: (jet,) records.
            y: (jet,) classes; ``jets.label`` if None.
            sample_weight: (jet,) weights, or None.
        """
        jets = as_jets(jets)
        return float(np.average(self.predict(jets) == labels_of(jets, y), weights=sample_weight))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Returns the folder the tagger was written to.

        ``tagger.json`` is there to read; ``weights.npz`` and ``model.onnx`` have their checksums in it. A network that
        has no translation to ONNX is written without the latter, with a `HepnnWarning`.

        Raises:
            OutputError: the folder exists and ``overwrite`` is not set, or cannot be written.
            TaggerError: not fitted.
        """
        if self.onnx_ is None:
            self._warn_of_keras()
        return storage.save(self, Path(folder), overwrite=overwrite)

    def _take_settings(self, settings: Mapping[str, Any]) -> None:
        """Keeps the settings of the training, to train again with."""
        self.set_params(**settings)
        if isinstance(self.class_weight, list):  # pairs, since the keys need not be text
            self.class_weight = dict(self.class_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags
