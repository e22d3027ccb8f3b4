"""What saves a run, and what is done where the disk refuses the end of it."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
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
from slangmod.errors import RunBusyError, RunError
from slangmod.files import write_bytes
from slangmod.locks import holder_of
from slangmod.parallel.shards import shards_of
from slangmod.reading import LARGEST_JSON, is_there, read_limited
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import flat
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
from slangmod.syncing import make_folder
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
    ground: "Ground | None",
) -> Saver:
    """What ``[checkpoint]`` asks for; the checkpoint that ``session`` is from stays.

    Without a ``ground`` it is that of a process that has a part in another's.
    """
    settings = session.settings
    about = about_run(settings, encodings, choices)
    kind = Saver if shards_of(session.state.model) is None else SharedSaver
    return kind(
        folder.checkpoints,
        {**about, "settings_sha256": learnt_from(settings)},
        keep=settings.checkpoint.keep,
        sync=nothing_recorded if ground is None else ground,
        background=settings.checkpoint.background,
        stop=settings.checkpoint.on_error == "stop",
        # Not by what is there: another may be moving an old run of this name aside.
        spared=session.state.counters.step if session.resumed else None,
        needed=lambda state: refuge_steps(state, settings),
        pinned=lambda: pinned_steps(folder),
        complaints=None if ground is None else ground.complaints,
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
    """Makes all that was recorded durable, and the run's folder anew if it is gone.

    For who holds the run's lock; one of a folder made anew is held by ``held``.
    """

    def __init__(self, folder: RunDir, recording: Recording, held: ExitStack) -> None:
        self._folder, self._recording, self._held = folder, recording, held
        self._config = read_limited(folder.config, LARGEST_JSON)
        self._lock = folder.lock_file.stat()
        self._made_again = False
        self.complaints = recording.complaints

    def __call__(self) -> OSError | None:
        """What keeps the disk from it, if anything.

        Raises RunError where the folder vanished for the second time, or cannot be
        made: somebody wants it gone, or the disk was unmounted. Raises RunBusyError
        where another run has taken its place.
        """
        try:
            self.refuse_if_taken()
            if not is_there(self._folder.lock_file):
                self._hold_again()
        except OSError as error:
            return error
        return self._recording.sync()

    def refuse_if_taken(self) -> None:
        """Raise RunBusyError if the folder is now that of another run."""
        if self.is_taken():
            raise RunBusyError(
                f"{self._folder.root}: was removed while the run was at work, and has "
                f"been made anew by {holder_of(self._folder.lock_file)}"
            )

    def is_taken(self) -> bool:
        """Whether somebody else has made another folder in place of the run's."""
        try:
            found = self._folder.lock_file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return not os.path.samestat(found, self._lock)

    def _hold_again(self) -> None:
        """Have a lock again where it was removed, alone or with the whole folder."""
        root, gone = self._folder.root, not self._folder.root.is_dir()
        if gone and self._made_again:
            raise RunError(f"{root}: was removed again while the run was at work")
        try:
            make_folder(root)
            self._held.enter_context(self._folder.lock())
            self._lock = self._folder.lock_file.stat()
            if gone:
                write_bytes(self._folder.config, self._config)
        except OSError as error:
            raise RunError(
                f"{root}: was removed while the run was at work, and cannot be made "
                f"again: {error.strerror}"
            ) from error
        if gone:
            self._made_again = True
            LOG.warning(
                "%s: was removed while the run was at work; made again, without the "
                "rows and checkpoints so far",
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
