"""What is tried for a setting, as it is written: ``interval(1e-4, 1e-2, log=true)``.

=====================================  =================================================
``choice(a, b, ...)``                  one of these: numbers, true and false, words with
                                       or without quotes, lists
``interval(low, high)``                any number between, both ends included;
                                       ``log=true``: evenly on a logarithmic scale;
                                       ``step=x``: low, low + x, low + 2x, ...
``int(interval(low, high))``           whole numbers only
``range(low, high[, step])``           low, low + step, ... below high, as in Python
``tag(log, interval(low, high))``      the same as ``log=true``
=====================================  =================================================

The text is taken apart by ``ast`` and never run.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from slangmod.search.dimensions import (
    MOST,
    Choice,
    Dimension,
    GrammarError,
    Interval,
    exact,
    whole,
)
from slangmod.settings.literals import brief

LONGEST = 10_000
"""Characters of a text that is taken apart."""


def parsed(text: str) -> Dimension:
    """What ``text`` says to try.

    Raises GrammarError where it says nothing of the kind.

    >>> parsed("interval(1, 9, step=2)").grid()
    (1.0, 3.0, 5.0, 7.0, 9.0)
    """
    if len(text) > LONGEST:
        raise GrammarError(f"is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise GrammarError(
            f"cannot be read; {WRITE}, with quotes around texts other than words"
        ) from None
    return _dimension(tree)


WRITE = (
    "write choice(a, b), interval(low, high[, log=true][, step=x]), "
    "int(interval(low, high)), range(low, high[, step]) or "
    "tag(log, interval(low, high))"
)


def _dimension(node: ast.expr) -> Dimension:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise GrammarError(f"is none of what can be tried; {WRITE}")
    make = FORMS.get(node.func.id)
    if make is None:
        raise GrammarError(f"{node.func.id}: there is no such thing; {WRITE}")
    options = {str(word.arg): word.value for word in node.keywords}
    return make(node.args, options)


Options = Mapping[str, ast.expr]


def _choice(arguments: Sequence[ast.expr], options: Options) -> Choice:
    _refuse(options, "choice")
    values = tuple(_value(argument) for argument in arguments)
    if not values:
        raise GrammarError("choice needs values to choose from")
    for number, value in enumerate(values):
        # True equals 1 for Python, and so for those who choose.
        if value in values[:number]:
            raise GrammarError(f"choice has {brief(value)} twice")
    return Choice(values)


def _interval(arguments: Sequence[ast.expr], options: Options) -> Interval:
    _refuse(options, "interval", "log", "step")
    if len(arguments) != 2:
        raise GrammarError("interval needs two numbers, the lowest and the highest")
    low, high = map(_number, arguments)
    log = _value(options["log"]) if "log" in options else False
    if not isinstance(log, bool):
        raise GrammarError(f"log = {brief(log)}: must be true or false")
    step = _number(options["step"]) if "step" in options else None
    return _sound(Interval(low, high, log, step))


def _range(arguments: Sequence[ast.expr], options: Options) -> Interval:
    """The numbers of Python's range, which ends before ``high``; steps may be broken.

    All of it is whole where all of its numbers are.
    """
    _refuse(options, "range", "step")
    given = [_number(argument) for argument in arguments]
    given += [_number(options["step"])] if "step" in options else []
    if len(given) not in (2, 3):
        raise GrammarError("range needs low and high, and may have a step")
    low, high, step = (*given, 1)[:3]
    if step <= 0:
        raise GrammarError(f"step = {brief(step)}: must be above 0")
    whole = all(isinstance(number, int) for number in (low, high, step))
    count = -((exact(low) - exact(high)) // exact(step))  # rounded towards zero
    last = exact(low) + count * exact(step)
    if last >= exact(high):
        last -= exact(step)
    if last < exact(low):
        raise GrammarError("range is empty: it ends before its high")
    end = int(last) if whole else float(last)
    return _sound(Interval(low, end, step=step, whole=whole))


def _int(arguments: Sequence[ast.expr], options: Options) -> Dimension:
    _refuse(options, "int")
    inner = _inner(arguments[-1:], len(arguments) == 1, "int")
    return whole(inner)


def _tag(arguments: Sequence[ast.expr], options: Options) -> Dimension:
    _refuse(options, "tag")
    tags = [_value(argument) for argument in arguments[:-1]]
    inner = _inner(arguments[-1:], bool(tags), "tag")
    if tags != ["log"]:
        unknown = next((tag for tag in tags if tag != "log"), "log")
        raise GrammarError(f"tag {brief(unknown)}: the one tag there is is log, once")
    return _sound(replace(inner, log=True))


def _inner(arguments: Sequence[ast.expr], enough: bool, name: str) -> Interval:
    inner = _dimension(arguments[0]) if arguments and enough else None
    if not isinstance(inner, Interval):
        example = "tag(log, interval(1, 9))" if name == "tag" else "int(interval(1, 9))"
        raise GrammarError(f"{name} needs an interval, as in {example}")
    return inner


FORMS: dict[str, Callable[[Sequence[ast.expr], Options], Dimension]] = {
    "choice": _choice,
    "interval": _interval,
    "range": _range,
    "int": _int,
    "tag": _tag,
}


def _sound(interval: Interval) -> Interval:
    """The interval, its end one that steps reach. Raises GrammarError."""
    if interval.low > interval.high:
        raise GrammarError(
            f"the lowest, {brief(interval.low)}, is above the highest, "
            f"{brief(interval.high)}"
        )
    if interval.log and interval.low <= 0:
        raise GrammarError(f"{brief(interval.low)}: must be above 0 where log is")
    if interval.step is None:
        return interval
    if interval.log:
        raise GrammarError("log and step exclude each other")
    if interval.step <= 0:
        raise GrammarError(f"step = {brief(interval.step)}: must be above 0")
    low, step = exact(interval.low), exact(interval.step)
    count = int((exact(interval.high) - low) / step)
    if count >= MOST:
        raise GrammarError(f"has {count + 1} values; {MOST} are the most")
    last = low + count * step
    integral = isinstance(interval.low, int) and isinstance(interval.step, int)
    return replace(interval, high=int(last) if integral else float(last))


def _refuse(options: Options, name: str, *known: str) -> None:
    """Raise GrammarError for an option that ``name`` does not have."""
    for option in options:
        if option not in known:
            raise GrammarError(f"{name} has no option {option!r}")


def _number(node: ast.expr) -> float:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GrammarError(f"{brief(value)}: must be a number")
    return value


def _value(node: ast.expr) -> Any:
    """A number, true or false, a text or a list of those, as it is written."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        node = node.operand
        if not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
            raise GrammarError("a sign belongs to a number")
    if not isinstance(node, ast.Constant):
        raise GrammarError("put texts other than words into quotes")
    value: Any = node.value
    if value is None:
        return "none"
    if isinstance(value, float) and not isfinite(value):
        raise GrammarError("must be a finite number")
    if type(value) not in (bool, int, float, str):
        raise GrammarError(f"{value!r}: is no number and no text")
    return sign * value if sign < 0 else value


def stand_in(text: str) -> Any:
    """The first or lowest value that ``text`` says to try; None where it says none.

    >>> stand_in("choice(32, 64)"), stand_in("choice(")
    (32, None)
    """
    try:
        return parsed(text).ends()[0]
    except GrammarError:
        return None
