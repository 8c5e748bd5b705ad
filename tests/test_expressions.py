"""Formulas as text: the same as NumPy, and nothing but formulas."""

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepnn.errors import SchemaError
from hepnn.expressions import FUNCTIONS, compile_expression

X, Y = np.array([-1.5, 0.0, 2.0, 7.0]), np.array([3.0, 0.5, 2.0, -4.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + y * 2 - 1", X + Y * 2 - 1),
        ("-x / 4 % 3", -X / 4 % 3),
        ("x ** 2", X**2),
        ("x > 0 & y < 3", (X > 0) & (Y < 3)),
        ("x > 0 | ~(y < 3)", (X > 0) | ~(Y < 3)),
        ("x > 0 and not y < 3", (X > 0) & ~(Y < 3)),
        ("-1 <= x < 3", (X >= -1) & (X < 3)),
        ("x == 2 | y != 2", (X == 2) | (Y != 2)),
        ("abs(x) * sqrt(abs(y))", np.abs(X) * np.sqrt(np.abs(Y))),
        ("where(x > y, x, y)", np.maximum(X, Y)),
        ("hypot(x, y)", np.hypot(X, Y)),
        ("arctan2(y, x)", np.arctan2(Y, X)),
        ("minimum(x, 1) + maximum(y, 1)", np.minimum(X, 1) + np.maximum(Y, 1)),
    ],
)
def test_formula_agrees_with_numpy(text, expected):
    np.testing.assert_allclose(np.asarray(compile_expression(text)({"x": X, "y": Y})), expected)


numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
formulas = st.recursive(
    st.one_of(st.sampled_from(["x", "y"]), numbers.map(repr)),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["abs", "tanh", "arcsinh"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
    ),
    max_leaves=12,
)


@given(formulas)
def test_any_formula_agrees_with_python_itself(text):
    ours = compile_expression(text)({"x": X, "y": Y})
    names = {"x": X, "y": Y, "abs": np.abs, "tanh": np.tanh, "arcsinh": np.arcsinh, "__builtins__": {}}
    np.testing.assert_allclose(ours, eval(text, names), rtol=1e-12)  # the reference; the text is made above


def test_ragged_arrays_and_jet_values_broadcast():
    ragged = ak.Array([[1.0, 2.0], [], [3.0]])
    result = compile_expression("part / jet")({"part": ragged, "jet": np.array([2.0, 1.0, 3.0])})
    assert result.tolist() == [[0.5, 1.0], [], [1.0]]


def test_a_branch_with_any_name_goes_in_backticks():
    formula = compile_expression("`Jet.PT` > 20 & `a/b.c[]` == 1")
    assert formula.names == {"Jet.PT", "a/b.c[]"}
    assert formula({"Jet.PT": np.array([30, 10]), "a/b.c[]": np.array([1, 1])}).tolist() == [True, False]


@pytest.mark.parametrize(
    "attack",
    [
        "x.__class__",
        "x.real",
        "x[0]",
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "__builtins__",
        "open('/etc/passwd')",
        "eval('1')",
        "(lambda: 1)()",
        "[x for x in y]",
        "{x: y}",
        "f'{x}'",
        "'text'",
        "b'bytes'",
        "x if y else 1",
        "(x := 1)",
        "abs(*x)",
        "abs(x=1)",
        "abs(x, y)",
        "9 ** 9 ** 9",
        "x ** 1000000",
        "x ** -1000000",
        "x ** y",
        "x << 1000000",
        "x @ y",
        "x is y",
        "x in y",
        "1j",
        "...",
        "None",
        "await x",
        "x; y",
        "import os",
        "",
        "x +",
        "-" * 100 + "x",
        "abs(" * 50 + "x" + ")" * 50,
        "1+" * 2000 + "1",
        "\0",
    ],
)
def test_an_attack_is_refused_when_it_is_read(attack):
    with pytest.raises(SchemaError, match=r"the formula|asked for a formula"):
        compile_expression(attack)


def test_powers_of_powers_of_numbers_end_in_infinity_instead_of_never():
    text = "9"
    for _ in range(30):
        text = f"({text}) ** 16"
    assert compile_expression(text)({}) == np.inf


def test_a_power_can_be_negative_or_a_root():
    np.testing.assert_allclose(
        compile_expression("x ** -2 + y ** 0.5")({"x": np.array([2]), "y": np.array([9.0])}), [3.25]
    )


def test_numbers_with_names_are_no_branches():
    formula = compile_expression("where(x < 0, nan, pi)")
    assert formula.names == {"x"}
    np.testing.assert_array_equal(np.asarray(formula({"x": X})), [np.nan, np.pi, np.pi, np.pi])
    assert compile_expression("`pi`").names == {"pi"}


def test_an_error_says_what_the_formula_was_for():
    with pytest.raises(SchemaError, match=r"^in the selection: the formula 'x.y' uses 'x.y'"):
        compile_expression("x.y", where="the selection")


def test_an_unknown_function_names_the_known_ones():
    with pytest.raises(SchemaError, match=r"function 'sqr' \(closest: 'sqrt'.*Allowed are"):
        compile_expression("sqr(x)")


def test_a_missing_name_names_the_closest():
    with pytest.raises(SchemaError, match=r"needs 'jet_ptt'; closest: 'jet_pt'"):
        compile_expression("jet_ptt > 3")({"jet_pt": X})


def test_arrays_that_do_not_fit_are_named_with_the_formula():
    with pytest.raises(SchemaError, match=r"the formula 'x \+ y' failed"):
        compile_expression("x + y")({"x": np.zeros(3), "y": np.zeros(4)})


def test_every_function_takes_as_many_arguments_as_it_says():
    for name, (function, n_arguments) in FUNCTIONS.items():
        values = np.array([1.0, 1.0]) if name == "arccosh" else np.array([0.25, 0.5])
        assert len(function(*[values > 0] * n_arguments if name == "where" else [values] * n_arguments)) == 2, name
