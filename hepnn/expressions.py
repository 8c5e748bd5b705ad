"""Formulas as text: ``pt > 500 & abs(eta) < 2``, ``hypot(part_px, part_py)``.

A small interpreter over Python's own syntax tree: numbers, known names, arithmetic, comparison, boolean operators and
a fixed table of functions. Everything else (attributes, subscripts, strings, other calls) is refused when the formula
is read, so no text from a file or a command line can run code. Values are NumPy or awkward arrays of any nesting.

``&``, ``|`` and ``~`` bind as ``and``, ``or`` and ``not`` do, weaker than comparisons: what physicists mean by
``pt > 500 & abs(eta) < 2``. A branch whose name is no Python name is written in backticks: ``` `Jet.PT` > 20 ```.
``pi`` and ``nan`` are numbers; a branch of that name needs backticks too.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import awkward as ak
import numpy as np

from hepnn import kinematics
from hepnn.errors import SchemaError, closest

__all__ = ["CONSTANTS", "FUNCTIONS", "Expression", "compile_expression"]

MAX_LENGTH = 2_000
"""Characters; the longest formula in use is far shorter."""
MAX_DEPTH = 40
"""Levels of the syntax tree."""
MAX_EXPONENT = 16
"""Greatest exponent of ``**``, up or down, which has to be a number: 9**9**9 would not end."""


def _where(condition: Any, chosen: Any, other: Any) -> Any:
    """Either of two, by a condition of any nesting."""
    if any(isinstance(each, ak.Array) for each in (condition, chosen, other)):
        return ak.where(*ak.broadcast_arrays(condition, chosen, other))
    return np.where(condition, chosen, other)


CONSTANTS: dict[str, float] = {"pi": np.pi, "nan": np.nan}
"""Names that are numbers."""

FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "log1p": (np.log1p, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "arcsin": (np.arcsin, 1),
    "arccos": (np.arccos, 1),
    "arctan": (np.arctan, 1),
    "arctan2": (np.arctan2, 2),
    "sinh": (np.sinh, 1),
    "cosh": (np.cosh, 1),
    "tanh": (np.tanh, 1),
    "arcsinh": (np.arcsinh, 1),
    "arccosh": (np.arccosh, 1),
    "arctanh": (np.arctanh, 1),
    "hypot": (np.hypot, 2),
    "sign": (np.sign, 1),
    "floor": (np.floor, 1),
    "isnan": (np.isnan, 1),
    "isfinite": (np.isfinite, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    "minimum": (np.minimum, 2),
    "maximum": (np.maximum, 2),
    "where": (_where, 3),
    "pt_from_p": (kinematics.pt_from_p, 2),
    "phi_from_p": (kinematics.phi_from_p, 2),
    "eta_from_p": (kinematics.eta_from_p, 3),
    "energy_from_mass": (kinematics.energy_from_mass, 3),
    "delta_phi": (kinematics.delta_phi, 2),
}
"""Every function a formula may call, with its number of arguments."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_WORDS = {"&": " and ", "|": " or ", "~": " not "}


@dataclass(frozen=True)
class Expression:
    """A formula that was checked and can be worked out.

    Attributes:
        text: as written.
        names: what it needs.
    """

    text: str
    names: frozenset[str]
    _tree: ast.expr
    _aliases: tuple[tuple[str, str], ...]

    @property
    def is_name(self) -> bool:
        """Whether it is a branch as it stands, with nothing to work out."""
        return isinstance(self._tree, ast.Name) and bool(self.names)

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Returns the formula's value.

        Args:
            values: an array for each of ``names``.

        Raises:
            SchemaError: a name is missing, or the arrays do not fit together.
        """
        aliases = dict(self._aliases)
        for name in sorted(self.names):
            if name not in values:
                raise SchemaError(
                    f"the formula {self.text!r} needs {name!r}; closest: {closest(name, values)}. Known: "
                    f"{', '.join(sorted(values)[:30])}."
                )
        try:
            with np.errstate(all="ignore"):  # NaN and infinity are found where features are made
                return _evaluate(self._tree, {alias: values[name] for alias, name in aliases.items()})
        except (ValueError, TypeError, ZeroDivisionError, OverflowError) as error:
            raise SchemaError(f"the formula {self.text!r} failed: {str(error).splitlines()[0]}") from error


def compile_expression(text: str, *, where: str = "") -> Expression:
    """Returns the formula ``text``, checked.

    Args:
        text: the formula.
        where: what it is for, for the message: ``--select``, say.

    Raises:
        SchemaError: not a formula, or it uses what formulas may not.

    >>> cut = compile_expression("pt > 500 & abs(eta) < 2")
    >>> sorted(cut.names)
    ['eta', 'pt']
    >>> cut({"pt": np.array([510, 400]), "eta": np.array([-1.0, 1.0])})
    array([ True, False])
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise SchemaError(
            f"asked for a formula{where and f' in {where}'}; found {str(text)[:40]!r}…, which is no text of at most "
            f"{MAX_LENGTH} characters."
        )
    try:
        return _compiled(text)
    except SchemaError as error:
        raise (SchemaError(f"in {where}: {error}") if where else error) from error.__cause__


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
    quoted: dict[str, str] = {}

    def alias(match: re.Match[str]) -> str:
        return quoted.setdefault(match[1], f"_quoted_{len(quoted)}_")

    source = re.sub(r"`([^`]+)`", alias, text)
    source = re.sub(r"[&|~]", lambda match: _WORDS[match[0]], source).strip()
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise SchemaError(f"the formula {text!r} cannot be read: {error}.") from error
    names: set[str] = set()
    _check(tree, text, names, depth=0)
    by_alias = {made: name for name, made in quoted.items()}
    aliases = {name: by_alias.get(name, name) for name in names}
    return Expression(text, frozenset(aliases.values()), tree, tuple(sorted(aliases.items())))


def _check(node: ast.AST, text: str, names: set[str], *, depth: int) -> None:
    """Walks the tree once and refuses whatever is not on the list."""
    if depth > MAX_DEPTH:
        raise SchemaError(f"the formula {text[:60]!r}… is nested more than {MAX_DEPTH} levels deep; split it.")

    def refuse(what: str) -> SchemaError:
        return SchemaError(
            f"the formula {text!r} uses {what}. Allowed are numbers, names, + - * / % **, comparisons, & | ~ and the "
            f"functions {', '.join(FUNCTIONS)}."
        )

    children: list[ast.AST]
    match node:
        case ast.Constant(value=bool() | int() | float()):
            return
        case ast.Name(id=name):
            if name.startswith("__"):
                raise refuse(f"the name {name!r}")
            if name not in CONSTANTS:
                names.add(name)
            return
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                raise refuse(f"the function {name!r} (closest: {closest(name, FUNCTIONS)})")
            if len(arguments) != FUNCTIONS[name][1]:
                raise refuse(f"{name} with {len(arguments)} arguments instead of {FUNCTIONS[name][1]}")
            children = list(arguments)
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, ast.Pow) or type(op) in _OPERATORS:
            if isinstance(op, ast.Pow) and not _is_small_number(right):
                raise refuse(f"a power whose exponent is not a number from -{MAX_EXPONENT} to {MAX_EXPONENT}")
            children = [left, right]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            children = [operand]
        case ast.BoolOp(values=values):
            children = list(values)
        case ast.Compare(left=left, ops=operations, comparators=comparators) if all(
            type(op) in _OPERATORS for op in operations
        ):
            children = [left, *comparators]
        case _:
            raise refuse(f"{ast.unparse(node)[:60]!r}")
    for child in children:
        _check(child, text, names, depth=depth + 1)


def _is_small_number(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value <= MAX_EXPONENT


def _power(base: Any, exponent: float) -> Any:
    """Returns base ** exponent; of plain numbers as decimal ones, since those of Python's integers have no end."""
    if isinstance(base, int | float):
        return float(np.power(float(base), float(exponent)))
    # NumPy has no negative powers of integers
    return (base * 1.0 if exponent < 0 else base) ** exponent


def _evaluate(node: ast.AST, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return CONSTANTS[name] if name in CONSTANTS else values[name]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name][0](*(_evaluate(argument, values) for argument in arguments))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_evaluate(left, values), _evaluate(right, values))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_evaluate(operand, values))
        case ast.BoolOp(op=op, values=parts):
            result = _evaluate(parts[0], values)
            for part in parts[1:]:
                result = _OPERATORS[type(op)](result, _evaluate(part, values))
            return result
        case ast.Compare(left=left, ops=operations, comparators=comparators):
            ends = [_evaluate(end, values) for end in (left, *comparators)]
            result = True
            for position, comparison in enumerate(operations):
                holds = _OPERATORS[type(comparison)](ends[position], ends[position + 1])
                result = holds if position == 0 else np.logical_and(result, holds)
            return result
        case _:
            raise SchemaError(f"a formula holds {type(node).__name__}, which was not checked.")
