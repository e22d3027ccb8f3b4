"""Numbers in few signs, for lines that are read at a glance."""

from typing import Final

POWERS: Final = ("", "k", "M", "G", "T", "P", "E", "Z")


def short_count(number: float) -> str:
    """At most four signs: 7, 999, 1k, 9.4k, 41k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            digits = 1 if number < size * 9.95 else 0
            return f"{number / size:.{digits}f}".removesuffix(".0") + letter
    return f"{number:.0f}"


def short_time(seconds: float) -> str:
    """1h02m, 3m20s or 12s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def operations(number: float) -> str:
    """Floating-point operations in units of a thousand to the power of something.

    >>> operations(2.5e15)
    '2.5 PFLOP'
    """
    power = max(0, min(len(POWERS) - 1, (len(str(int(number))) - 1) // 3))
    return f"{number / 1000**power:.3g} {POWERS[power]}FLOP"


def percent(share: float) -> str:
    """A share as a person says it.

    >>> percent(0.314), percent(0.0314)
    ('31 %', '3.1 %')
    """
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"
