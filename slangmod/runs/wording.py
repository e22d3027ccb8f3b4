"""Numbers in few signs, for lines that are read at a glance."""


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
