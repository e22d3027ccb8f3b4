"""samples.jsonl: what the model wrote as it learnt, a line of JSON for each text."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slangmod.complaints import Complaints
from slangmod.reading import bounded_lines, open_regular, parsed
from slangmod.runs.durable import Lines

LONGEST = 1 << 22
"""Bytes of a line; longer ones are none of ours."""

MOST = 1 << 23
"""Bytes at the end of a file whose samples are kept; before it has twice as many, all
are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One text of a model on its way."""

    step: int
    """Optimizer steps done."""
    tokens: int
    """Target tokens seen."""
    prompt: str
    text: str
    """What the model wrote after it."""


class SamplesFile:
    """Appends samples; the file is made by the first. Trouble with it never raises."""

    def __init__(self, path: Path, complaints: Complaints | None = None) -> None:
        self.path = path
        self._lines = Lines(path, complaints)
        self._begun = False

    def add(self, sample: Sample) -> None:
        """Append ``sample``; the system has it on return."""
        self._begun = True
        self._lines.add(json.dumps(asdict(sample)))

    def cut_after(self, step: int) -> None:
        """Drop samples of later steps, which a resumed run writes again."""

        def is_kept(line: bytes) -> bool:
            sample = sample_of(line)
            return sample is not None and sample.step <= step

        self._lines.cut(is_kept, LONGEST)

    def sync(self) -> OSError | None:
        """Make all samples durable; -> what keeps the disk from it, if anything."""
        if not self._begun:  # this would make a file that nobody asked for
            return None
        return self._lines.renew() or self._lines.sync()

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()


class SamplesReader:
    """Reads samples again and again while they grow; ``beginnings`` as of a Series."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples: list[Sample] = []
        self.beginnings = 1
        self._begin = self._position = 0

    def refresh(self) -> None:
        """Read what was added; a file that shrank is read anew.

        So is the end of one that has become too long for all of it to be kept.
        """
        try:
            with open_regular(self.path) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < self._position or size - self._begin > 2 * MOST:
                    self.samples = []
                    self._begin = self._position = max(0, size - MOST)
                    self.beginnings += 1
                stream.seek(self._position)
                position = self._position
                for line in bounded_lines(stream, LONGEST):
                    position += len(line)
                    if line.endswith(b"\n"):
                        self._position = position
                        sample = sample_of(line)
                        self.samples += [] if sample is None else [sample]
        except OSError:
            return


def sample_of(line: bytes) -> Sample | None:
    """The sample in a whole line, None where the line is torn or something else."""
    try:
        content: Any = parsed(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    step, tokens = content.get("step"), content.get("tokens")
    prompt, text = content.get("prompt"), content.get("text")
    if not (isinstance(step, int) and isinstance(tokens, int)):
        return None
    if not (isinstance(prompt, str) and isinstance(text, str)):
        return None
    return Sample(step, tokens, prompt, text)
