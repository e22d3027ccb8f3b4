"""The numbers that ``logging`` gives to the words of ``log_level``."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def level_of(log_level: str | int) -> int:
    """The number of a log level, which may be one already.

    >>> level_of("warning")
    30
    """
    return LEVELS[log_level] if isinstance(log_level, str) else log_level
