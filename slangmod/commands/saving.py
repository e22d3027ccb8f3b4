"""What saves a run, and what is done where the disk refuses the end of it."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from slangmod.commands import RESUME_MAY_CHANGE
from slangmod.commands.bad_steps import pinned_steps
from slangmod.commands.choices import Choices, about_run
from slangmod.commands.recording import Recording
from slangmod.commands.rewinding import refuge_steps
from slangmod.commands.session import Session
from slangmod.complaints import Complaints
from slangmod.data.shards import Encodings
from slangmod.errors import RunError
from slangmod.files import make_folder, write_bytes
from slangmod.parallel.shards import shards_of
from slangmod.reading import is_there
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import flat
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
from slangmod.training.disk import trouble
from slangmod.training.saver import Saver
from slangmod.training.shared_saver import SharedSaver

LOG = logging.getLogger(__name__)

LONGEST: Final = 600.0
"""Seconds for which the end of a run is tried to be written, or a spike undone."""
PAUSE: Final = 1.0
"""Seconds between two tries."""

LEARNT_FROM: Final = ("seed", "tokens", "data", "model", "optimizer", "train", "stage")
"""Settings, or sections of them, on which depends what is learnt."""


def build_saver(
    folder: RunDir,
    session: Session,
    encodings: Encodings,
    choices: Choices,
    recording: Recording | None,
) -> Saver:
    """What ``[checkpoint]`` asks for; the checkpoint that ``session`` is from stays.

    Without a ``recording`` it is that of a process that has a part in another's.
    """
    settings = session.settings
    about = about_run(settings, encodings, choices)
    kind = Saver if shards_of(session.state.model) is None else SharedSaver
    return kind(
        folder.checkpoints,
        {**about, "settings_sha256": learnt_from(settings)},
        keep=settings.checkpoint.keep,
        sync=nothing_recorded if recording is None else Ground(folder, recording),
        background=settings.checkpoint.background,
        stop=settings.checkpoint.on_error == "stop",
        # Not by what is there: another may be moving an old run of this name aside.
        spared=session.state.counters.step if session.resumed else None,
        needed=lambda state: refuge_steps(state, settings),
        pinned=lambda: pinned_steps(folder),
        complaints=None if recording is None else recording.complaints,
        team=session.team,
    )


def nothing_recorded() -> None:
    """Whoever records nothing has nothing to make durable."""


def learnt_from(settings: Settings) -> str:
    """sha256 of the settings on which depends what is learnt, not how long for."""
    values = {
        name: value
        for name, value in flat(settings.model_dump(mode="json")).items()
        if may_change(tuple(name.split(".")), LEARNT_FROM)
        and not may_change(tuple(name.split(".")), RESUME_MAY_CHANGE)
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Ground:
    """Makes all that was recorded durable, and the run's folder anew if it is gone."""

    def __init__(self, folder: RunDir, recording: Recording) -> None:
        self._folder, self._recording = folder, recording
        self._config = folder.config.read_bytes()
        self._made_again = False

    def __call__(self) -> OSError | None:
        """What keeps the disk from it, if anything.

        Raises RunError where the folder vanished for the second time, or cannot be
        made: somebody wants it gone, or the disk was unmounted.
        """
        try:
            there = is_there(self._folder.root)
        except OSError as error:  # which does not say that it is gone
            return error
        if not there:
            self._make_again()
        return self._recording.sync()

    def _make_again(self) -> None:
        root = self._folder.root
        if self._made_again:
            raise RunError(f"{root}: was removed again while the run was at work")
        self._made_again = True
        try:
            make_folder(root)
            write_bytes(self._folder.config, self._config)
        except OSError as error:
            raise RunError(
                f"{root}: was removed while the run was at work, and cannot be made "
                f"again: {error.strerror}"
            ) from error
        LOG.warning(
            "%s: was removed while the run was at work; made again, without the rows "
            "and checkpoints so far",
            root,
        )


class Occasion(NamedTuple):
    """When a run needs the disk so much that it waits for it, in words."""

    now: str
    undone: str
    """what is said if the disk never comes back"""


ENDING: Final = Occasion("has ended", "the end of the run could not be written")
GOING_BACK: Final = Occasion("goes back from a spike", "the run could not go back")


@dataclass(frozen=True)
class Insistence:
    """Does what a run cannot do without, waiting for a disk that refuses it.

    Such as writing its end, until patience ends.
    """

    folder: RunDir
    gives_up: Callable[[], bool]
    """asked before each further try"""
    complain: Complaints
    of: Occasion = ENDING
    longest: float = LONGEST
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __call__[Result](self, write: Callable[[], Result]) -> Result:
        """What ``write`` returns, as soon as it succeeds; RunError if it never does.

        One warning a minute while it lasts.
        """
        began = self.clock()
        while True:
            try:
                return write()
            except OSError as error:
                why = trouble(self.folder.root, error)
            now = self.clock()
            if self.gives_up() or now - began >= self.longest:
                raise RunError(
                    f"{why}; {self.of.undone}: make room, or mend what is wrong, then "
                    f"`slangmod resume --name {self.folder.name}` goes on from the "
                    "last checkpoint"
                )
            left = round((self.longest - (now - began)) / 60)
            self.complain(
                str(self.folder.root),
                f"{why}; the run {self.of.now} and waits for the disk, {left} more "
                "minutes",
            )
            self.sleep(PAUSE)
