"""The references against SciPy, matrices, and sums written out: what the tours trust is checked here without Keras."""

import numpy as np
import pytest
from scipy import ndimage, signal

from hepnn.tasks import references

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("places", "window"),
    [((9,), (3,)), ((9,), (4,)), ((7, 8), (3, 2)), ((5, 6, 7), (2, 3, 4))],
    ids=lambda sizes: "x".join(map(str, sizes)),
)
def test_a_valid_convolution_is_scipys_correlation_summed_over_channels(places, window):
    values, kernel, bias = RNG.normal(size=(2, *places, 3)), RNG.normal(size=(*window, 3, 2)), np.array([0.5, -1.0])
    found = references.convolution(values, [kernel, bias])
    for event in range(2):
        for output in range(2):
            parts = [signal.correlate(values[event, ..., c], kernel[..., c, output], "valid") for c in range(3)]
            np.testing.assert_allclose(found[event, ..., output], sum(parts) + bias[output], atol=1e-12)


def test_a_same_convolution_with_an_odd_kernel_is_scipys_filter_with_zeros_outside():
    values, kernel = RNG.normal(size=(1, 7, 8, 1)), RNG.normal(size=(3, 5, 1, 1))
    expected = ndimage.correlate(values[0, ..., 0], kernel[..., 0, 0], mode="constant")
    np.testing.assert_allclose(
        references.convolution(values, [kernel], padding="same")[0, ..., 0], expected, atol=1e-12
    )


def test_a_convolution_does_not_turn_the_kernel_around():
    step = np.array([0.0, 0, 1, 1])[None, :, None]
    assert references.convolution(step, [np.array([-1.0, 1])[:, None, None]])[0, :, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [5, 6, 7])
def test_same_padding_gives_every_stride_th_place_and_the_odd_zero_goes_after(size, kernel, stride):
    before, after = references.same_padding(size, kernel=kernel, stride=stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)
    if before + after:  # not one zero more than needed
        assert (size + before + after - 1 - kernel) // stride + 1 < -(-size // stride)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_a_transposed_convolution_is_the_transposed_matrix_of_the_convolution(kernel, stride, padding):
    weights = RNG.normal(size=(kernel, 2, 3))  # a convolution from 2 to 3 channels
    n_small = 4
    n_large = n_small * stride if padding == "same" else (n_small - 1) * stride + kernel
    options = {"strides": (stride,), "padding": padding}
    unit = np.eye(n_large * 2).reshape(-1, n_large, 2)
    matrix = references.convolution(unit, [weights], **options).reshape(n_large * 2, -1)
    assert matrix.shape[1] == n_small * 3
    values = RNG.normal(size=(1, n_small, 3))
    found = references.transposed_convolution(values, [weights], **options)
    kept = found[:, :n_large]  # with strides longer than the kernel, places follow that nothing wrote to
    np.testing.assert_allclose(kept.ravel(), matrix @ values.ravel(), atol=1e-12)
    assert not found[:, n_large:].any()


def test_pooling_at_the_edge_counts_only_real_places():
    values = np.array([-1.0, -2, -3, -4, -6])[None, :, None]
    largest = references.pooling(values, (2,), how="max", padding="same")
    mean = references.pooling(values, (2,), how="mean", padding="same")
    assert largest[0, :, 0].tolist() == [-1, -3, -6]
    assert mean[0, :, 0].tolist() == [-1.5, -3.5, -6]
    assert references.pooling(values, (2,), how="max")[0, :, 0].tolist() == [-1, -3]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_step_of_an_lstm_is_its_equations_written_out():
    x, h, c = 0.3, -0.2, 0.7
    w, u, b = RNG.normal(size=(3, 4))
    i, f, g, o = x * w + h * u + b
    cell = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    steps = references.lstm([[[x]]], [w[None], u[None], b], initial=[[[h]], [[c]]])
    assert steps.cell[0, 0, 0] == pytest.approx(cell, abs=1e-14)
    assert steps.hidden[0, 0, 0] == pytest.approx(sigmoid(o) * np.tanh(cell), abs=1e-14)
    assert steps.gates["forget"][0, 0, 0] == pytest.approx(sigmoid(f), abs=1e-14)


@pytest.mark.parametrize("reset_after", [True, False])
def test_one_step_of_a_gru_is_its_equations_written_out(reset_after):
    x, h = 0.3, -0.2
    w, u, b, of_h = RNG.normal(size=(4, 3))
    bias = np.stack([b, of_h]) if reset_after else b
    extra = of_h if reset_after else np.zeros(3)
    z, r = sigmoid(x * w + h * u + b + extra)[:2]
    # with a single unit the order of product and reset shows only in the bias
    candidate = np.tanh(x * w[2] + b[2] + r * (h * u[2] + extra[2]))
    steps = references.gru([[[x]]], [w[None], u[None], bias], initial=[[[h]]], reset_after=reset_after)
    assert steps.hidden[0, 0, 0] == pytest.approx(z * h + (1 - z) * candidate, abs=1e-14)
    assert steps.cell is None


def test_the_two_forms_of_the_gru_differ_where_units_are_coupled():
    x, h = RNG.normal(size=(1, 1, 2)), RNG.normal(size=(1, 3))
    w, u, b = RNG.normal(size=(2, 9)), RNG.normal(size=(3, 9)), RNG.normal(size=9)
    r = sigmoid((x[0] @ w + b + h @ u)[:, 3:6])
    before, after = (
        references.gru(x, [w, u, bias], initial=[h], reset_after=reset_after).hidden[0, 0]
        for reset_after, bias in ((False, b), (True, np.stack([b, np.zeros(9)])))
    )
    z = sigmoid((x[0] @ w + b + h @ u)[:, :3])
    for hidden, from_h in ((before, (r * h) @ u[:, 6:]), (after, r * (h @ u[:, 6:]))):
        expected = z * h + (1 - z) * np.tanh((x[0] @ w + b)[:, 6:] + from_h)
        np.testing.assert_allclose(hidden, expected[0], atol=1e-14)
    assert np.abs(before - after).max() > 1e-3


def test_a_simple_rnn_is_its_equation_step_by_step():
    x, (w, u, b) = RNG.normal(size=(1, 3, 2)), (RNG.normal(size=shape) for shape in ((2, 4), (4, 4), (4,)))
    h = np.zeros(4)
    for step in x[0]:
        h = np.tanh(step @ w + h @ u + b)
    np.testing.assert_allclose(references.simple_rnn(x, [w, u, b]).hidden[0, -1], h, atol=1e-14)


def test_a_masked_step_leaves_both_states_as_they_are():
    x, weights = RNG.normal(size=(1, 4, 2)), [RNG.normal(size=shape) for shape in ((2, 12), (3, 12), (12,))]
    steps = references.lstm(x, weights, mask=[[False, True, False, True]])
    without = references.lstm(x[:, [1, 3]], weights)
    for masked, real in ((steps.hidden, without.hidden), (steps.cell, without.cell)):
        assert not masked[0, 0].any()
        np.testing.assert_array_equal(masked[0, [1, 3]], real[0])
        np.testing.assert_array_equal(masked[0, 2], real[0, 0])


def test_a_convolutional_lstm_with_kernels_of_one_is_an_lstm_at_each_place():
    x = RNG.normal(size=(2, 5, 3, 4, 2))
    weights = [RNG.normal(size=shape) for shape in ((2, 12), (3, 12), (12,))]
    kernels = [weights[0][None, None], weights[1][None, None], weights[2]]
    found = references.conv_lstm(x, kernels).hidden
    expected = references.lstm(np.moveaxis(x, 1, 3).reshape(24, 5, 2), weights).hidden
    np.testing.assert_allclose(found, np.moveaxis(expected.reshape(2, 3, 4, 5, 3), 3, 1), atol=1e-14)


def test_a_convolutional_lstm_sees_the_neighbours_states():
    x = np.zeros((1, 2, 1, 5, 1))
    x[0, 0, 0, 1] = 1
    kernel, recurrent = np.zeros((2, 1, 3, 1, 4))
    kernel[0, 1] = 1
    recurrent[0, 0, 0, 2] = 1  # the candidate is the state of the place to the left
    hidden = references.conv_lstm(x, [kernel, recurrent, np.zeros(4)], padding="same").hidden[0, :, 0, :, 0]
    assert np.flatnonzero(hidden[0]).tolist() == [1]
    assert np.flatnonzero(hidden[1]).tolist() == [1, 2]
