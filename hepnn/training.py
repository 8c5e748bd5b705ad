"""Training: the loop around `keras.Model.fit`.

Batches (`hepnn.batches`) go in, a trained model and its history come out. Everything random follows from the seed and
the epoch, so the same seed gives the same model on a CPU, and a training that was interrupted goes on as if it had not
been (see ``checkpoint``).
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.metrics import log_loss

from hepnn.batches import Batches, SharedBatches, dataset_of
from hepnn.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from hepnn.epoch_table import EpochTable
from hepnn.errors import TaggerError
from hepnn.history import Trained, trained_from
from hepnn.targets import auc
from hepnn.tensors import Tensors, batches_by_length
from hepnn.workers import Team

__all__ = [
    "CLIP_NORM",
    "LONG",
    "STEPS_A_CALL",
    "compile_model",
    "fit_model",
    "placed",
    "predict",
    "rising_then_falling",
    "seeded",
]

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

CLIP_NORM = 1.0
"""Greatest norm of a step's gradient: Pascanu, Mikolov, Bengio 2013 (arXiv:1211.5063), for recurrent networks."""

STEPS_A_CALL = 16
"""Steps that TensorFlow does by itself in a long training: a call for each takes 1 ms longer (measured)."""

LONG = 1000
"""Steps of a training from which on that is worth the 0.3 s that compiling it takes longer."""

_SCORING_SLOTS = 65_536
"""Padded particles in a batch when scoring: enough to be efficient, little enough to stay in cache."""


def predict(model: keras.Model, tensors: Tensors) -> npt.NDArray[np.float32]:
    """Returns the model's output for every jet, (jet, class), in order.

    Jets are taken by length, so that each batch is padded to about its own length.
    """
    output = np.empty((len(tensors), model.output_shape[-1]), np.float32)
    sizes = (math.prod(n for n in shape[:-1] if n is not None) for shape in tensors.shapes.values())
    slots = max(_SCORING_SLOTS // max(sizes), 1)  # an image counts as many as it has pixels
    rows = list(batches_by_length(tensors.lengths, slots=slots))
    if rows:
        batches = dataset_of(lambda at: (tensors.pad(rows[at]),), len(rows), tensors.shapes)
        output[np.concatenate(rows)] = model.predict(batches, verbose=0)
    return output


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds everything that Keras draws from, and gives Python's and NumPy's generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # what Keras sets
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def placed(*, distribute: str | None, mixed_precision: bool) -> Iterator[None]:
    """Lets models that are built and trained within compute on several GPUs, or with half as many bits.

    Args:
        distribute: "mirrored" to share each batch out among all GPUs of the machine, or, without any, among TensorFlow's
            logical processors (``tf.distribute.MirroredStrategy``); None or "multi-worker" for one device in this process
            (the other workers are `fit_model`'s affair).
        mixed_precision: compute layers in float16 on a GPU and in bfloat16 elsewhere, or on several workers, since
            float16 would have each of them leave out other steps; weights, scaling and probabilities
            stay float32 (Micikevicius et al. 2018, arXiv:1710.03740).
    """
    before = keras.config.dtype_policy()
    if mixed_precision:
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        keras.config.set_dtype_policy("mixed_float16" if on_gpu and distribute != "multi-worker" else "mixed_bfloat16")
    try:
        with tf.distribute.MirroredStrategy().scope() if distribute == "mirrored" else contextlib.nullcontext():
            yield
    finally:
        keras.config.set_dtype_policy(before)


def rising_then_falling(peak: float, *, steps: int, warmup: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a learning rate that rises linearly to ``peak``, then falls to zero along a cosine (arXiv:1608.03983).

    Args:
        peak: the greatest rate.
        steps: of the whole training.
        warmup: share of them until the peak.
    """
    rising = max(round(warmup * steps), 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=max(steps - rising, 1), warmup_target=peak, warmup_steps=rising
    )


class TeamAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW whose gradients are the mean over all workers, before they are clipped."""

    def __init__(self, *arguments: Any, team: Team | None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._team = team

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        super().apply(grads if self._team is None else self._team.average(grads), trainable_variables)


def compile_model(
    model: keras.Model,
    *,
    steps: int,
    learning_rate: float,
    warmup: float,
    weight_decay: float,
    team: Team | None = None,
) -> None:
    """Gives a model the loss and the optimizer of `fit_model`, for so many steps in all."""
    schedule = rising_then_falling(learning_rate, steps=steps, warmup=warmup)
    optimizer = TeamAdamW(schedule, team=team, weight_decay=weight_decay, global_clipnorm=CLIP_NORM)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    alone = team is None and not tf.distribute.has_strategy()
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # XLA compiles each length for longer than it saves (measured on CPU)
        steps_per_execution=STEPS_A_CALL if alone and steps >= LONG else 1,
    )


def fit_model(
    model: keras.Model,
    batches: Batches,
    *,
    validation: tuple[Tensors, Integers, Floats | None],
    epochs: int,
    learning_rate: float,
    warmup: float,
    weight_decay: float,
    patience: int,
    checkpoint: Path | None = None,
    fingerprint: Mapping[str, str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    team: Team | None = None,
) -> Trained:
    """Trains ``model`` in place and leaves it with the weights of its best epoch.

    AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101) with a rate that rises linearly, then falls to zero along a
    cosine (arXiv:1608.03983).

    Args:
        model: takes the batches' inputs, gives probabilities (jet, class).
        batches: the training jets.
        validation: tensors, class indices (jet,) and weights (jet,) that no training step sees; after each epoch they
            give ``val_loss``, ``val_accuracy`` and ``val_auc``.
        epochs: most epochs.
        learning_rate: its peak.
        warmup: share of all steps until the peak.
        weight_decay: of AdamW.
        patience: stop after so many epochs without a better ``val_auc``.
        checkpoint: file to save the state in after each epoch, and to go on from if it is there.
        fingerprint: what has to be the same to go on from a checkpoint, by name.
        callbacks: more Keras callbacks; they see the validation in their logs, and in a long training only every 16th
            batch (``STEPS_A_CALL``).
        team: the workers that train together, each of which calls this with the same arguments; of every batch each
            takes its share, and what layers do over a batch (normalisation, dropout) they do over that. The chief alone
            writes the checkpoint; all read it.

    Raises:
        TaggerError: the loss became NaN, or the checkpoint is of another training.
        ClusterError: a worker ended, or was told something else than the others.
    """
    steps = epochs * len(batches)
    if team is not None:
        batches = SharedBatches(batches, rank=team.worker.rank, n_workers=len(team.worker.addresses))
    compile_model(model, steps=steps, learning_rate=learning_rate, warmup=warmup, weight_decay=weight_decay, team=team)
    keeper = _BestWeights(
        batches,
        validation,
        patience=patience,
        checkpoint=checkpoint,
        fingerprint=dict(fingerprint or {}),
        team=team,
    )
    keeper.set_model(model)
    if tf.distribute.has_strategy():
        _build_on_all_devices(model, batches)
    first = keeper.restore()
    if team is not None:
        team.check_same({**keeper.fingerprint, "the checkpoint's epoch": str(first)})
    keeper.agree_on_weights()
    for callback in callbacks:
        if isinstance(callback, EpochTable):
            callback.begin(keeper.history)
    if first < epochs and not keeper.exhausted:
        with contextlib.nullcontext() if team is None else team.reporting():
            model.fit(
                batches.dataset(),
                initial_epoch=first,
                epochs=epochs,
                callbacks=[keeper, *callbacks],
                shuffle=False,  # the batches are shuffled already
                verbose=0,
            )
    keeper.keep_best()
    return keeper.trained


def _build_on_all_devices(model: keras.Model, batches: Batches) -> None:
    """Makes the variables of metrics and loss, which cannot be made once a step is shared out.

    Keras would do so with the mean of what each device gets of the first batch, which it cannot take of masks, nor of
    parts that differ in size.
    """
    for batch in batches.dataset().take(1).as_numpy_iterator():
        model.test_on_batch(*batch)
        model.reset_metrics()
    model._maybe_symbolic_build = lambda **batch: None


class _BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates after each epoch, keeps the best weights, stops when there are no better ones, saves the state."""

    def __init__(
        self,
        batches: Batches,
        validation: tuple[Tensors, Integers, Floats | None],
        *,
        patience: int,
        checkpoint: Path | None,
        fingerprint: dict[str, str],
        team: Team | None = None,
    ) -> None:
        super().__init__()
        self.team = team
        self.batches, self.validation = batches, validation
        self.patience, self.checkpoint, self.fingerprint = patience, checkpoint, fingerprint
        self.history: dict[str, list[float]] = {}
        self.best_epoch, self.best_value = -1, -math.inf
        self.best: list[Any] = []
        self.padding, self.n_truncated = 0.0, dict[str, int]()
        self.before, self.start = 0.0, time.perf_counter()

    @property
    def exhausted(self) -> bool:
        """Whether too many epochs have brought nothing better."""
        return bool(self.history) and len(self.history["loss"]) - 1 - self.best_epoch >= self.patience

    @property
    def trained(self) -> Trained:
        """What was done up to the last whole epoch."""
        seconds = self.before + time.perf_counter() - self.start
        return Trained(self.history, self.best_epoch, seconds, self.padding, self.n_truncated)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.batches.epoch = epoch  # Keras starts the dataset over after this call

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if logs and not math.isfinite(logs["loss"]):
            raise TaggerError(
                f"the loss became {logs['loss']} in epoch {len(self.history.get('loss', [])) + 1}, by batch "
                f"{min(batch + 1, len(self.batches))} of {len(self.batches)}. "
                "Lower the learning rate, or look for extreme values in the features and weights."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        self.agree_on_weights()
        logs.update(self._mean_of({name: logs[name] for name in ("loss", "accuracy")}))
        logs.update(self._validate())
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if logs["val_auc"] > self.best_value:
            self.best_value, self.best_epoch, self.best = logs["val_auc"], epoch, self.model.get_weights()
        self.padding, self.n_truncated = self.batches.padding, dict(self.batches.n_truncated)
        if self.checkpoint is not None and (self.team is None or self.team.worker.is_chief):
            about = {**self.trained._asdict(), "best_value": self.best_value}
            state = [keras.ops.convert_to_numpy(variable) for variable in self._state()]
            saved = Checkpoint(about, {"state": state, "best": self.best})
            save_checkpoint(saved, self.checkpoint, fingerprint=self.fingerprint)
        if self.exhausted:
            self.model.stop_training = True

    def agree_on_weights(self) -> None:
        """Gives all workers, if there are several, the mean of their weights: layers keep something of jets they saw."""
        if self.team is not None:
            self.model.set_weights(self.team.agreed(self.model.get_weights()))

    def keep_best(self) -> None:
        """Gives the model the weights of the best epoch."""
        if self.best:
            self.model.set_weights(self.best)

    def _validate(self) -> dict[str, float]:
        tensors, targets, weights = self.validation
        probabilities = predict(self.model, tensors).astype(np.float64)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        classes = list(range(probabilities.shape[1]))
        right = probabilities.argmax(axis=1) == targets
        found = {
            "val_loss": float(log_loss(targets, probabilities, sample_weight=weights, labels=classes)),
            "val_accuracy": float(np.average(right, weights=weights)),
            "val_auc": auc(targets, probabilities, weights),
        }
        return self._mean_of(found)  # so that all stop at the same epoch, whatever their processors

    def _mean_of(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all workers, if there are several."""
        if self.team is None:
            return values
        means = self.team.agreed(list(values.values()))
        return {name: float(mean) for name, mean in zip(values, means, strict=True)}

    def _state(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def restore(self) -> int:
        """Takes up the saved state, if any, and returns the epoch to go on with."""
        self.model.optimizer.build(self.model.trainable_variables)
        if self.checkpoint is None:
            return 0
        saved = load_checkpoint(self.checkpoint, fingerprint=self.fingerprint, names=("state", "best"))
        if saved is None:
            return 0
        try:
            best_value = float(saved.about["best_value"])
            trained = trained_from(saved.about)
            n_epochs = len(trained.history["loss"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise TaggerError(
                f"asked to go on from {self.checkpoint}; it is not as hepnn writes it ({type(error).__name__}: {error}). "
                "Remove it to start afresh."
            ) from error
        state, best = self._state(), saved.arrays["best"] or self.model.get_weights()
        found = [array.shape for array in (*saved.arrays["state"], *best)]
        if [v.shape for v in (*state, *self.model.get_weights())] != found:
            raise TaggerError(
                f"asked to go on from {self.checkpoint}; found the state of a model with other weights. "
                "Use the settings it was started with, or remove it to start afresh."
            )
        for variable, array in zip(state, saved.arrays["state"], strict=True):
            variable.assign(array)
        self.best, self.best_value = saved.arrays["best"], best_value
        self.history, self.best_epoch, self.before, self.padding, self.n_truncated = trained
        self.start = time.perf_counter()
        return n_epochs
