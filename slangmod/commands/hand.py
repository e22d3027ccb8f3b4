"""A process that holds some rows of a run's model, which the leader writes down.

Whatever needs all rows, it takes part in: checkpoints, and samples.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from slangmod.commands.bystander import Bystander
from slangmod.commands.choices import Choices
from slangmod.commands.sampling import samplers
from slangmod.commands.saving import build_saver
from slangmod.commands.session import Session
from slangmod.data.shards import Encodings
from slangmod.parallel.shards import shards_of
from slangmod.runs.directory import RunDir
from slangmod.training.events import Callback
from slangmod.training.saver import Saver

AGAIN, ENOUGH = "again", "enough"
"""What the leader says before it tries what a disk may refuse, and after all."""


@dataclass(frozen=True)
class Hand(Bystander):
    """Writes its own rows, and computes with them."""

    run: RunDir
    session: Session
    encodings: Encodings
    tokenizer: bytes
    choices: Choices

    @cached_property
    def saver(self) -> Saver:
        """Writes the own rows of each checkpoint."""
        return build_saver(self.run, self.session, self.encodings, self.choices, None)

    def watchers(self, session: Session) -> tuple[Callback, ...]:
        """Samples are computed by all."""
        return samplers(session, self.tokenizer, None)

    def save_end(self) -> None:
        """Try as often as the leader does."""
        self.while_going_back(lambda: self.saver.insist(self.session.state))

    def while_going_back(self, act: Callable[[], None]) -> None:
        """Try as often as the leader does."""
        while self.session.team.text("") == AGAIN:
            with suppress(OSError):  # as the leader has it, who tells of it
                act()


@contextmanager
def announced(session: Session) -> Iterator[Callable[[], object]]:
    """What the leader calls before each try in the block, so that all hands try, too.

    They need none where each process has all of the model.
    """
    if shards_of(session.state.model) is None:
        yield lambda: None
        return
    yield lambda: session.team.text(AGAIN)
    session.team.text(ENOUGH)
