"""What may reach a terminal: text, never commands to it."""

import re

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"  # everything else that begins with escape
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, delete, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    r"\ud800-\udfff]"  # half characters, which nothing can encode
)


def printable(text: str) -> str:
    """``text`` without control characters (but tab and newline) and sequences.

    A sequence that comes in pieces loses what starts it, which disarms the rest.
    """
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))
