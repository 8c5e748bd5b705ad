"""Keras' LSTM and GRU with a training step of their own on a processor: the same numbers in less time.

Keras masks within the loop over the particles, and differentiates through each operation of it. Here padding is left out
before the loop: a step has a row for each jet that is still going on, as in PyTorch's packed sequences. The gradient of a
step is linear in what comes back to it; its factors are made on the way forward, while everything they need is in the
cache, so that the loop backwards has one product of matrices and little more. Products that do not depend on the step
before are done for all steps at once.

The gradients follow from the formulas of the layers as Keras has them: Hochreiter, Schmidhuber 1997
(doi:10.1162/neco.1997.9.8.1735) with forget gates; Cho et al. 2014 (arXiv:1406.1078v1) with the reset after the product,
as in cuDNN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from hepnn.threads import default_threads

__all__ = ["GRU", "LSTM"]

Tensor = Any

_PARTS = 2
"""The jets of a batch are dealt out to so many loops, which run at the same time where there are processors: the products
of one step are too small to be shared out."""

_UNROLLED = 4
"""Steps a round of a loop. A round costs something by itself: with one step each, training takes 4 % longer (measured)."""


@keras.saving.register_keras_serializable("hepnn")
class LSTM(keras.layers.LSTM):  # type: ignore[misc]  # keras ships no types
    """`keras.layers.LSTM` for sequences that are padded on the right; see the module.

    Trains with loops of its own where the output of every step is asked for, with the standard activations, without
    dropout, and no GPU is there; else, and when it does not train, it is Keras'. Slots of padding hold nothing of
    meaning: mask them out.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.supports_jit = False  # XLA has to know how many rows a step has

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool = False) -> Any:
        """Returns what Keras wants of a loop: the last output, all outputs (jet, particle, unit), and the states."""
        if not _has_own_loop(self, training=training):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return _outputs(self, _lstm_sequence, sequences, initial_state, mask)


@keras.saving.register_keras_serializable("hepnn")
class GRU(keras.layers.GRU):  # type: ignore[misc]
    """`keras.layers.GRU` for sequences that are padded on the right; see `LSTM`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.supports_jit = False  # as in `LSTM`

    def inner_loop(self, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool = False) -> Any:
        """Returns what Keras wants of a loop: the last output, all outputs (jet, particle, unit), and the states."""
        if not (self.reset_after and _has_own_loop(self, training=training)):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return _outputs(self, _gru_sequence, sequences, initial_state, mask)


def _has_own_loop(layer: Any, *, training: bool) -> bool:
    """Whether a layer trains by the loops of this module."""
    return bool(
        training
        and layer.return_sequences
        and layer.use_bias
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and not (layer.return_state or layer.stateful or layer.unroll or layer.dropout or layer.recurrent_dropout)
        and not _has_gpu()
    )


def _has_gpu() -> bool:
    """Whether Keras can use cuDNN, which is faster still."""
    return bool(tf.config.list_logical_devices("GPU"))


def _outputs(
    layer: Any, read: Callable[..., Tensor], sequences: Tensor, states: Any, mask: Tensor | None
) -> tuple[Tensor, Tensor, Any]:
    """The three results of a layer's loop; nobody asks for the first and the third."""
    n_jets, n_slots = tf.unstack(tf.shape(sequences)[:2])
    if mask is None:
        lengths = tf.fill([n_jets], n_slots)
    else:
        (mask,) = keras.tree.flatten(mask)
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        tf.debugging.assert_equal(
            mask,
            tf.sequence_mask(lengths, n_slots),
            "a mask has gaps or padding on the left; padding belongs on the right",
        )
    longest_first = tf.argsort(lengths, direction="DESCENDING", stable=True)
    weights = [
        tf.cast(weight, sequences.dtype) for weight in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)
    ]
    n_parts = min(_PARTS, default_threads())
    parts = [longest_first[part::n_parts] for part in range(n_parts)]
    counts, jet, step, left = zip(*(_rows(jets, tf.gather(lengths, jets)) for jets in parts), strict=True)
    n_rows = [tf.size(jets) for jets in jet]
    jet, step, left = (tf.concat(of_parts, axis=0) for of_parts in (jet, step, left))
    read_from = written_to = jet * n_slots + step
    if layer.go_backwards:  # Keras gives what was read last first, padding before it
        read_from, written_to = jet * n_slots + left, (jet + 1) * n_slots - 1 - left
    values = _packed(tf.reshape(sequences, [n_jets * n_slots, sequences.shape[-1]]), read_from)
    packed = [
        read(values, counts, *weights, *(tf.gather(state, jets) for state in keras.tree.flatten(states)))
        for values, counts, jets in zip(tf.split(values, n_rows, num=n_parts), counts, parts, strict=True)
    ]
    outputs = _spread(tf.concat(packed, axis=0), written_to, n_jets * n_slots)
    outputs = tf.reshape(outputs, [n_jets, n_slots, layer.units])
    return outputs[:, -1], outputs, states


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _packed(slots: Tensor, places: Tensor) -> Any:
    """The rows of some slots, none of which is there twice: `tf.gather`, whose gradient takes longer."""
    return tf.gather(slots, places), lambda rows: (_spread(rows, places, tf.shape(slots)[0]), None)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _spread(rows: Tensor, places: Tensor, n_slots: Tensor) -> Any:
    """Slots with the rows in their places and zeros elsewhere: `tf.scatter_nd`, which takes longer."""
    row = tf.scatter_nd(places[:, None], 1 + tf.range(tf.size(places)), n_slots[None])
    none = tf.zeros([1, rows.shape[1]], rows.dtype)
    return tf.gather(tf.concat([none, rows], axis=0), row), lambda slots: (tf.gather(slots, places), None, None)


def _rows(jets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows a step, (step,), and of each row, as `_loop` packs them, the jet, its step, and how many steps are left."""
    is_real = tf.range(tf.maximum(tf.reduce_max(lengths), 0))[:, None] < lengths
    step, rank = tf.unstack(tf.cast(tf.where(is_real), tf.int32), axis=1)
    left = tf.gather(lengths, rank) - 1 - step
    return tf.reduce_sum(tf.cast(is_real, tf.int32), axis=1), tf.gather(jets, rank), step, left


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _lstm_sequence(
    values: Tensor, counts: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, *first: Tensor
) -> Any:
    """All outputs of an LSTM, (row, unit).

    Args:
        values: (row, feature), a row for each particle, packed as `_loop` says.
        counts: rows of each step, (step,).
        kernel: (feature, 4 · units), the gates in Keras' order: input, forget, candidate, output.
        recurrent: (units, 4 · units).
        bias: (4 · units,).
        first: output and cell before the first step, (jet, unit).
    """
    units = first[0].shape[-1]

    def forward(states: Sequence[Tensor], given: Tensor) -> Any:
        state, cell = states
        total = given + tf.matmul(state, recurrent)
        both, candidate, output = tf.split(total, [2 * units, units, units], axis=1)
        both, candidate, output = tf.sigmoid(both), tf.tanh(candidate), tf.sigmoid(output)
        entering, forget = tf.split(both, 2, axis=1)
        factors = [_of_sigmoid(entering, candidate), _of_sigmoid(forget, cell), _of_tanh(candidate, entering)]
        cell = entering * candidate + forget * cell
        shown = tf.tanh(cell)
        new = output * shown
        factors.append(_of_sigmoid(output, shown))
        return [new, cell], [new, state, forget, _of_tanh(shown, output), tf.concat(factors, axis=1)]

    given = tf.nn.bias_add(tf.matmul(values, kernel), bias)
    (outputs, before, *saved), _ = _loop(forward, first, [given], counts=counts, widths=[units] * 4 + [4 * units])

    def gradient(upstream: Tensor) -> Any:
        back = tf.transpose(recurrent)

        def backward(
            states: Sequence[Tensor], upstream: Tensor, forget: Tensor, by_cell: Tensor, factors: Tensor
        ) -> Any:
            arriving = states[0] + upstream
            at_cell = states[1] + by_cell * arriving
            change = factors * tf.concat([at_cell, at_cell, at_cell, arriving], axis=1)
            return [tf.matmul(change, back), forget * at_cell], [change]

        nothing = [tf.zeros_like(state) for state in first]
        (kept,), at_first = _loop(
            backward, nothing, [upstream, *saved], counts=counts, widths=[4 * units], backwards=True
        )
        changes = kept.concat()
        return (
            tf.matmul(changes, kernel, transpose_b=True),
            None,
            tf.matmul(values, changes, transpose_a=True),
            tf.matmul(before.concat(), changes, transpose_a=True),
            _of_bias(changes),
            *at_first,
        )

    return outputs.concat(), gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gru_sequence(
    values: Tensor, counts: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, first: Tensor
) -> Any:
    """All outputs of a GRU, (row, unit).

    Args:
        values: (row, feature), a row for each particle, packed as `_loop` says.
        counts: rows of each step, (step,).
        kernel: (feature, 3 · units), the gates in Keras' order: update, reset, candidate.
        recurrent: (units, 3 · units).
        bias: (2, 3 · units), of the product with each of the two.
        first: the output before the first step, (jet, unit).
    """
    units = first.shape[-1]
    parts = [2 * units, units]
    gate_bias, candidate_bias = tf.split(bias[1], parts)

    def forward(states: Sequence[Tensor], given: Tensor) -> Any:
        (state,) = states
        to_gates, to_candidate = tf.split(given, parts, axis=1)
        gates, product = tf.split(tf.matmul(state, recurrent), parts, axis=1)
        update, reset = tf.split(tf.sigmoid(to_gates + gates), 2, axis=1)
        product += candidate_bias
        candidate = tf.tanh(to_candidate + reset * product)
        above = state - candidate
        by_candidate = _of_tanh(candidate, 1 - update)
        factors = [_of_sigmoid(update, above), _of_sigmoid(reset, by_candidate * product), by_candidate * reset]
        new = candidate + update * above
        return [new], [new, state, update, tf.concat([*factors, by_candidate], axis=1)]

    constant = bias[0] + tf.concat([gate_bias, tf.zeros_like(candidate_bias)], axis=0)
    given = tf.nn.bias_add(tf.matmul(values, kernel), constant)
    (outputs, before, *saved), _ = _loop(forward, [first], [given], counts=counts, widths=[units] * 3 + [4 * units])

    def gradient(upstream: Tensor) -> Any:
        """With four columns of changes: both gates, and the candidate, once by each product."""
        back = tf.pad(tf.transpose(recurrent), [[0, units], [0, 0]])
        of_gates, of_candidate = tf.split(kernel, parts, axis=1)
        forth = tf.concat([of_gates, tf.zeros_like(of_candidate), of_candidate], axis=1)

        def backward(states: Sequence[Tensor], upstream: Tensor, update: Tensor, factors: Tensor) -> Any:
            arriving = states[0] + upstream
            change = factors * tf.concat([arriving] * 4, axis=1)
            return [tf.matmul(change, back) + update * arriving], [change]

        nothing = [tf.zeros_like(first)]
        (kept,), at_first = _loop(
            backward, nothing, [upstream, *saved], counts=counts, widths=[4 * units], backwards=True
        )
        changes = kept.concat()
        total = _of_bias(changes)
        return (
            tf.matmul(changes, forth, transpose_b=True),
            None,
            _of_input(tf.matmul(values, changes, transpose_a=True), units),
            tf.matmul(before.concat(), changes, transpose_a=True)[:, : 3 * units],
            tf.stack([_of_input(total, units), total[: 3 * units]]),
            *at_first,
        )

    return outputs.concat(), gradient


def _loop(
    step: Callable[..., Any],
    states: Sequence[Tensor],
    given: Sequence[Any],
    *,
    counts: Tensor,
    widths: Sequence[int],
    backwards: bool = False,
) -> tuple[list[tf.TensorArray], list[Tensor]]:
    """What each step kept, and the states after the last, (jet, unit).

    Packed is what has a row for each particle and none for padding: the first particles of all jets, the second ones of
    those that have two, and so on. The jets are in the order of their lengths, the longest first, so that in every step
    those that go on are the first rows of those that were there in the step before.

    Args:
        step: from the states and the step's rows of all that is given to the new states and what is to be kept.
        states: before the first step.
        given: packed, (row, number), or what another loop kept, which is not copied.
        counts: rows of each step, (step,).
        widths: numbers a row of all that is kept.
        backwards: go from the last step to the first; jets that join start from zeros.
    """
    counts = tf.pad(counts, [[0, -tf.size(counts) % _UNROLLED]])
    ends, n_steps, n_jets, kind = tf.cumsum(counts), tf.size(counts), tf.shape(states[0])[0], states[0].dtype
    kept = [
        tf.TensorArray(kind, n_steps, clear_after_read=False, infer_shape=False, element_shape=(None, width))
        for width in widths
    ]
    states = [state[:0] if backwards else state for state in states]

    def body(done: Tensor, states: Any, kept: Any) -> Any:
        for more in range(_UNROLLED):
            at = n_steps - 1 - done - more if backwards else done + more
            end, n_rows = tf.gather(ends, at), tf.gather(counts, at)
            states = [_resized(state, n_rows, grows=backwards) for state in states]
            rows = [
                values.read(at) if isinstance(values, tf.TensorArray) else values[end - n_rows : end]
                for values in given
            ]
            states, results = step(states, *rows)
            kept = [array.write(at, result) for array, result in zip(kept, results, strict=True)]
        return done + _UNROLLED, states, kept

    _, states, kept = tf.while_loop(
        lambda done, *_: done < n_steps,
        body,
        (0, states, kept),
        shape_invariants=(
            tf.TensorShape([]),
            [tf.TensorShape([None, state.shape[1]]) for state in states],
            [tf.TensorShape(None)] * len(kept),
        ),
    )
    return kept, [_resized(state, n_jets, grows=True) for state in states]


def _resized(state: Tensor, n_rows: Tensor, *, grows: bool) -> Tensor:
    """The first rows, or all and zeros behind them."""
    return tf.pad(state, [[0, n_rows - tf.shape(state)[0]], [0, 0]]) if grows else state[:n_rows]


def _of_sigmoid(value: Tensor, factor: Tensor) -> Tensor:
    """The slope of a sigmoid where it has a value, times a factor: one operation in place of three."""
    return tf.raw_ops.SigmoidGrad(y=value, dy=factor)


def _of_tanh(value: Tensor, factor: Tensor) -> Tensor:
    """The slope of a hyperbolic tangent where it has a value, times a factor."""
    return tf.raw_ops.TanhGrad(y=value, dy=factor)


def _of_bias(changes: Tensor) -> Tensor:
    """The sum over all rows, in a sixth of the time of `tf.reduce_sum`."""
    return tf.raw_ops.BiasAddGrad(out_backprop=changes)


def _of_input(columns: Tensor, units: int) -> Tensor:
    """Without the third of four columns, the candidate's by the product with the state."""
    return tf.concat([columns[..., : 2 * units], columns[..., 3 * units :]], axis=-1)
