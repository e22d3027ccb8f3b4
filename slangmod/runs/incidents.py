"""incidents.jsonl: what went wrong in training and what was done, a line of JSON each.

Lines hold no time, and none is written twice: a run that was killed and goes on meets
the same incidents again, and ends with the same lines as if it had never stopped.
"""

import hashlib
import json
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slangmod.complaints import Complaints
from slangmod.files import cut
from slangmod.reading import bounded_lines, open_regular
from slangmod.runs.durable import Lines
from slangmod.training.events import BadStep, Event, Rewind, Spike

LONGEST = 1 << 20
"""Bytes of a line, which has the loss of each mini-batch of a step."""

MANY = 1 << 15
"""Lines that are remembered: what a run does again, it wrote last."""

LOG = logging.getLogger(__name__)


def tell_bad(bad: BadStep) -> None:
    """Say that a step was left out; one too many is said by what ends the run."""
    if bad.in_a_row <= bad.allowed:
        LOG.warning(
            "step %d: loss %g, gradient norm %g is not finite: left out, %d in a row "
            "of at most %d",
            *(bad.step, bad.loss, bad.grad_norm, bad.in_a_row, bad.allowed),
        )


def tell_spike(spike: Spike) -> None:
    """Say how far a loss is above those before it."""
    LOG.warning(
        "step %d: loss %.4f is a spike: above %.4f, where those before it are "
        "%.4f on average and scatter by %.4f",
        *(spike.step, spike.loss, spike.limit, spike.mean, spike.deviation),
    )


def tell_rewind(rewind: Rewind) -> None:
    """Say from where training goes on."""
    LOG.warning(
        "going back from step %d to the checkpoint of step %d, and past mini-batches "
        "%d to %d (rewind %d)",
        *(rewind.step, rewind.checkpoint, rewind.first_batch + 1, rewind.batch),
        rewind.number,
    )


KINDS: dict[type[Event], tuple[str, Callable[[Any], None]]] = {
    BadStep: ("bad step", tell_bad),
    Spike: ("spike", tell_spike),
    Rewind: ("rewind", tell_rewind),
}
"""What a line is called, and how its event is logged."""


class Incidents:
    """A callback that logs what went wrong and keeps it. Trouble with it never raises.

    The file is made by the first incident; a torn last line is dropped.
    """

    def __init__(self, path: Path, complaints: Complaints | None = None) -> None:
        self._lines = Lines(path, complaints)
        self._known = last_lines(path)

    def __call__(self, event: Event) -> None:
        """Log ``event`` and write it down, if it is of a kind that goes wrong."""
        if type(event) not in KINDS:
            return
        name, tell = KINDS[type(event)]
        tell(event)
        line = json.dumps({"incident": name, **finite(asdict(event))})
        known_by = hash_of(f"{line}\n".encode())
        if known_by not in self._known:
            self._known.add(known_by)
            self._lines.add(line)

    def sync(self) -> OSError | None:
        """Make all lines durable; -> what keeps the disk from it, if anything."""
        # Without a line this would make a file that nobody asked for.
        return self._lines.sync() if self._known else None

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()


def finite(content: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` for JSON, which knows no nan and no infinity: those become words."""
    return {key: in_words(value) for key, value in content.items()}


def in_words(value: Any) -> Any:
    """A number that is not finite as "nan", "inf" or "-inf", at any depth of lists."""
    if isinstance(value, list | tuple):
        return [in_words(one) for one in value]
    odd = isinstance(value, float) and not math.isfinite(value)
    return str(value) if odd else value


def last_lines(path: Path) -> set[bytes]:
    """The hashes of the last lines of a file, none where there is none.

    Its torn end is cut off.
    """
    found: deque[bytes] = deque(maxlen=MANY)
    size = position = 0
    try:
        with open_regular(path) as stream:
            for line in bounded_lines(stream, LONGEST):
                position += len(line)
                if line.endswith(b"\n"):
                    found.append(hash_of(line))
                    size = position
        if size < position:
            cut(path, size)
    except OSError:
        return set()
    return set(found)


def hash_of(line: bytes) -> bytes:
    """What a line with its end is known by, however long it is."""
    return hashlib.sha256(line).digest()
