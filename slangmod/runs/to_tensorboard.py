"""Tells TensorBoard of a run: event files in the run's folder (extra ``tensorboard``).

The package makes the records, and ``files`` writes them: its own writer does that in a
further thread, which prints tracebacks when a disk is full. TensorBoard keeps no other
files than these.
"""

import io
import logging
import os
import shlex
import time
from collections.abc import Sequence
from typing import Any

from slangmod.growing import Growing
from slangmod.runs.tracker import Ending, Opener, Row, Subject
from slangmod.settings.literals import literal

LOG = logging.getLogger(__name__)

COMPARED = ("test_loss", "validation.loss")
"""Numbers that the page of hyper-parameters shows beside them."""

VERSION = "brain.Event:2"
"""What an event file begins with."""


def open_tensorboard(subject: Subject) -> Opener:
    """What opens event files in ``runs/NAME/tensorboard``; loads the package."""
    from torch.utils.tensorboard import summary

    runs = shlex.quote(str(subject.run.root.absolute().parent))
    LOG.info("tensorboard shows the run: tensorboard --logdir %s", runs)
    return Files(subject, summary)


class Files:
    """Opens one event file after the other.

    The first holds all settings, and hides what a resumed run is going to tell again.
    """

    def __init__(self, subject: Subject, summary: Any) -> None:
        self._subject = subject
        self._summary = summary
        self._files = 0
        self._described = False

    def __call__(self) -> "EventFile":
        """A new event file."""
        folder = self._subject.run.tensorboard
        folder.mkdir(exist_ok=True)
        # TensorBoard reads files in the order of their names.
        moment, host = int(time.time()), os.uname().nodename
        name = f"events.out.tfevents.{moment:010d}.{host}.{os.getpid()}.{self._files}"
        self._files += 1
        file = EventFile(Growing(folder / name), self._summary)
        file.add(file_version=VERSION)
        if not self._described:
            file.begin(self._subject)
            self._described = True
        return file


class EventFile:
    """An open event file; all methods raise OSError where the disk refuses."""

    def __init__(self, file: Growing, summary: Any) -> None:
        self._file = file
        self._summary = summary

    def begin(self, subject: Subject) -> None:
        """Write all settings, and that what comes after ``subject.step`` is void."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        first = subject.step + 1 if subject.step else 0
        self.add(step=first, session_log=SessionLog(status=SessionLog.START))
        parameters = dict(subject.parameters)
        for part in self._summary.hparams(parameters, dict.fromkeys(COMPARED, 0.0)):
            self.add(summary=part)
        lines = [f"    {name} = {literal(value)}" for name, value in parameters.items()]
        self._text("settings", lines, subject.step)

    def send(self, rows: Sequence[Row]) -> None:
        """Write a scalar for each number."""
        for row in rows:
            for name, value in row.values.items():
                scalar = self._summary.scalar(name, value)
                self.add(step=row.step, wall_time=row.time, summary=scalar)

    def end(self, ending: Ending) -> None:
        """Write the facts of the summary as a text."""
        lines = [f"    {name} = {value}" for name, value in ending.facts.items()]
        self._text("ending", [f"    {ending.status}", *lines], 0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, **content: Any) -> None:
        """Append one event."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        event = Event(**{"wall_time": time.time(), **content})
        RecordWriter(record).write(event.SerializeToString())
        if error := self._file.add(record.getvalue()):
            raise error

    def _text(self, name: str, lines: Sequence[str], step: int) -> None:
        self.add(step=step, summary=self._summary.text(name, "\n".join(lines)))
