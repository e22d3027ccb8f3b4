"""Values that are computed: ``"=train.batch_size * 2"``.

An expression is parsed into a tree of which every kind of node is on a list; nothing
is ever handed to Python to execute. What names mean is up to whoever evaluates.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

LONGEST: Final = 500
"""Characters of an expression."""

LARGEST: Final = 256
"""Bits of a whole number that a calculation may reach."""

Names = Callable[[str], Any]
"""Dotted name -> value; raises FaultError where there is none."""


class FaultError(Exception):
    """What is wrong with an expression, in words that follow the place."""


OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
SIGNS: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "float": float,
    "int": int,
    "len": len,
    "max": max,
    "min": min,
    "round": round,
}
MAY: Final = (
    "an expression has numbers, names of settings, + - * / // % **, comparisons, "
    f"[number], `a if b else c`, and {', '.join(FUNCTIONS)}"
)


def parsed(text: str) -> ast.expr:
    """The tree of an expression, without the sign ``=``; FaultError if it is none."""
    if len(text) > LONGEST:
        raise FaultError(f"an expression has at most {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or type(error).__name__
        raise FaultError(f"is no expression: {reason}") from None
    _check(tree)
    return tree


def _check(node: ast.expr) -> None:
    """Raise FaultError unless every node of the tree is one that is known."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name() | ast.Attribute():
            name_of(node)
            return
        case ast.BinOp(op=sign) if type(sign) in OPERATORS:
            parts = [node.left, node.right]
        case ast.UnaryOp(op=sign) if type(sign) in SIGNS:
            parts = [node.operand]
        case ast.BoolOp():
            parts = node.values
        case ast.IfExp():
            parts = [node.test, node.body, node.orelse]
        case ast.Compare() if all(type(op) in COMPARISONS for op in node.ops):
            parts = [node.left, *node.comparators]
        case ast.Subscript(slice=ast.Constant() | ast.UnaryOp()):
            parts = [node.value, node.slice]
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            parts = node.args
        case _:
            raise FaultError(MAY)
    for part in parts:
        _check(part)


def name_of(node: ast.expr) -> str:
    """The dotted name that ``node`` spells; FaultError if it spells none."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=above, attr=name):
            return f"{name_of(above)}.{name}"
    raise FaultError(MAY)


def evaluated(node: ast.expr, names: Names) -> Any:
    """What a checked tree comes to; FaultError where it cannot be computed."""
    try:
        return _value(node, names)
    except ZeroDivisionError:
        raise FaultError("divides by zero") from None
    except OverflowError:
        raise FaultError("comes to too large a number") from None
    except (TypeError, ValueError, IndexError) as error:
        raise FaultError(f"cannot be computed: {error}") from None


def _value(node: ast.expr, names: Names) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute():
            return names(name_of(node))
        case ast.BinOp(left=left, op=sign, right=right):
            return _calculated(sign, _value(left, names), _value(right, names))
        case ast.UnaryOp(op=sign, operand=operand):
            value = _value(operand, names)
            return SIGNS[type(sign)](value if isinstance(sign, ast.Not) else _n(value))
        case ast.BoolOp(op=sign, values=values):
            found = (bool(_value(one, names)) for one in values)
            return all(found) if isinstance(sign, ast.And) else any(found)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Compare():
            return _compared(node, names)
        case ast.Subscript(value=sequence, slice=index):
            return _value(sequence, names)[_value(index, names)]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(one, names) for one in arguments))
    raise AssertionError(node)  # _check lets nothing else through


def _n(value: Any) -> Any:
    """``value`` if it is a number that one can calculate with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError("calculates with what is no number")
    return value


def _calculated(sign: ast.operator, left: Any, right: Any) -> Any:
    """Left and right put together, unless that takes for ever."""
    is_whole = isinstance(_n(left), int) and isinstance(_n(right), int)
    is_power = is_whole and isinstance(sign, ast.Pow)
    if is_power and abs(right) * left.bit_length() > LARGEST:
        raise OverflowError
    value = OPERATORS[type(sign)](left, right)
    if isinstance(value, complex):
        raise FaultError("comes to no real number")
    if isinstance(value, int) and value.bit_length() > LARGEST:
        raise OverflowError
    return value


def _compared(node: ast.Compare, names: Names) -> bool:
    left = _value(node.left, names)
    for sign, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, names)
        if not COMPARISONS[type(sign)](left, right):
            return False
        left = right
    return True
