"""Formulas as text: the same as NumPy, and nothing but formulas."""

import contextlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import awkward as ak
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hepnn import kinematics
from hepnn.errors import SchemaError
from hepnn.expressions import CONSTANTS, FUNCTIONS, MAX_LENGTH, compile_expression

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


class Formula(NamedTuple):
    """A formula, and what it means: a function of the branches."""

    text: str
    value: Callable


BRANCHES = {"x": "x", "y": "y", "a/b c": "`a/b c`"}
NUMBERS = [0.0, 1.0, 2.0, 0.5, 3.25, 1e3, 1e-3, 1e308]
EXPONENTS = [-2, -1, 0, 1, 2, 3, 0.5, 16]
OPERATORS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.remainder}
COMPARISONS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
OF_NUMBERS = {name: n for name, (_, n) in FUNCTIONS.items() if name not in ("where", "isnan", "isfinite")}


def reference(name):
    return getattr(kinematics, name, None) or getattr(np, {"min": "minimum", "max": "maximum"}.get(name, name))


def branch(name):
    return Formula(BRANCHES[name], lambda of: of[name])


def number(value):
    return Formula(repr(value), lambda of: np.float64(value))


def infix(a, symbol, b, function):
    return Formula(f"({a.text} {symbol} {b.text})", lambda of: function(a.value(of), b.value(of)))


def power(base, exponent):
    return Formula(f"({base.text}) ** {exponent}", lambda of: np.power(base.value(of), np.float64(exponent)))


def call(name, *arguments):
    text = f"{name}({', '.join(each.text for each in arguments)})"
    return Formula(text, lambda of: reference(name)(*(each.value(of) for each in arguments)))


def between(a, first, b, second, c):
    return Formula(
        f"({a.text} {first} {b.text} {second} {c.text})",
        lambda of: COMPARISONS[first](a.value(of), b.value(of)) & COMPARISONS[second](b.value(of), c.value(of)),
    )


def prefix(symbol, a, function):
    return Formula(f"({symbol} {a.text})", lambda of: function(a.value(of)))


def one_of(draw, choices):
    return draw(st.sampled_from(sorted(choices, key=str)))


@st.composite
def numerics(draw, depth=3):
    """Formulas of numbers, so many levels deep at most."""
    kind = one_of(draw, ("branch", "number", "name", *(("infix", "sign", "power", "call", "where") if depth else ())))
    if kind == "branch":
        return branch(one_of(draw, BRANCHES))
    if kind == "number":
        return number(one_of(draw, NUMBERS))
    if kind == "name":
        name, value = one_of(draw, CONSTANTS.items())
        return Formula(name, lambda of: np.float64(value))
    if kind == "call":
        name, n = one_of(draw, OF_NUMBERS.items())
        return call(name, *(draw(numerics(depth - 1)) for _ in range(n)))
    inner = draw(numerics(depth - 1))
    if kind == "power":
        return power(inner, one_of(draw, EXPONENTS))
    if kind == "sign":
        symbol = one_of(draw, "+-")
        return prefix(symbol, inner, {"-": np.negative, "+": np.positive}[symbol])
    other = draw(numerics(depth - 1))
    if kind == "where":
        return call("where", draw(truths(depth - 1)), inner, other)
    symbol = one_of(draw, OPERATORS)
    return infix(inner, symbol, other, OPERATORS[symbol])


@st.composite
def truths(draw, depth=3):
    """Formulas that are true or false."""
    kind = one_of(draw, ("comparison", "between", "isnan", "isfinite", *(("and", "or", "not") if depth else ())))
    if kind in ("isnan", "isfinite"):
        return call(kind, draw(numerics(max(depth - 1, 0))))
    if kind in ("and", "or", "not"):
        symbol = one_of(draw, {"and": ("and", "&"), "or": ("or", "|"), "not": ("not", "~")}[kind])
        function = {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}[kind]
        inner = [draw(truths(depth - 1)) for _ in range(1 if kind == "not" else 2)]
        return prefix(symbol, *inner, function) if kind == "not" else infix(inner[0], symbol, inner[1], function)
    a, b, c = (draw(numerics(max(depth - 1, 0))) for _ in range(3))
    first, second = one_of(draw, COMPARISONS), one_of(draw, COMPARISONS)
    return between(a, first, b, second, c) if kind == "between" else infix(a, first, b, COMPARISONS[first])


ANY = {"x": X, "y": Y, "a/b c": np.array([np.nan, np.inf, -0.0, 1e-300])}
COUNTS = [0, 3, 0, 1]


@given(numerics() | truths())
def test_any_formula_agrees_with_numpy_on_flat_and_ragged_values(formula):
    assume(len(formula.text) <= MAX_LENGTH)
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(formula.value(ANY), X.shape)
    compiled = compile_expression(formula.text)
    try:
        found = compiled(ANY)
    except SchemaError as error:
        if isinstance(error.__cause__, ZeroDivisionError):
            return  # of two numbers, by 0
        raise
    assert compiled.names <= ANY.keys()
    np.testing.assert_array_equal(np.broadcast_to(np.asarray(found), X.shape), expected)
    if compiled.names:
        ragged = compiled({name: ak.unflatten(values, COUNTS) for name, values in ANY.items()})
        np.testing.assert_array_equal(ak.to_numpy(ak.flatten(ragged)), expected)
        assert ak.num(ragged).tolist() == COUNTS


pieces = [
    "x",
    "y",
    "(",
    ")",
    ",",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "&",
    "|",
    "~",
    "<",
    "==",
    "=",
    ":=",
    "`",
    ".",
    "'",
]
pieces += [
    "1",
    "0",
    "9e999",
    "0x10",
    "1j",
    "nan",
    "pi",
    "if",
    "else",
    "lambda",
    "for",
    "in",
    "abs",
    "where",
    "[",
    "]",
    "\n",
]
pieces += ["#", "\\", "\0", "{", "}", "@", ";", "__class__", "and", "not", "is", "None", "True", "é", "９", "10" * 200]


@given(st.text(max_size=40) | st.lists(st.sampled_from(pieces), max_size=14).map(" ".join))
def test_any_text_is_a_formula_or_an_error_of_ours(text):
    with contextlib.suppress(SchemaError), warnings.catch_warnings():
        warnings.simplefilter("error")
        compile_expression(text)(ANY)


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
