"""What a process does of a run that another one writes down: nothing."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from slangmod.commands.session import Session
from slangmod.training.evaluate import Score
from slangmod.training.events import Callback, Event
from slangmod.training.limits import Outcome
from slangmod.training.saver import Saver
from slangmod.training.state import Counters, TrainState
from slangmod.training.stopping import Patience


class Bystander:
    """Stands for a Scribe, for its recording, and for its saver."""

    in_debt = False

    @property
    def saver(self) -> "Saver | Bystander":
        """It saves nothing."""
        return self

    @property
    def recording(self) -> Self:
        """It records nothing."""
        return self

    def __enter__(self) -> Self:
        """Nothing is held."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is let go."""

    def __call__(self, event: Event) -> None:
        """No event is told."""

    def go_back_to(self, counters: Counters) -> None:
        """No row is dropped."""

    def save(self, state: TrainState) -> None:
        """No checkpoint is written."""

    def due_again(self) -> bool:
        """None is missing."""
        return False

    def wait(self) -> None:
        """None is under way."""

    def settle(self) -> None:
        """None is held in memory."""

    def abandon_after(self, step: int) -> None:
        """None is removed."""

    def watchers(self, session: Session) -> tuple[Callback, ...]:
        """Nobody watches."""
        del session
        return ()

    def save_end(self) -> None:
        """The leader sees to it."""

    def while_going_back(self, act: Callable[[], None]) -> None:
        """The leader waits for the disk."""
        act()

    def keep_model(self, patience: Patience) -> None:
        """The leader keeps it."""

    def sum_up(self, outcome: Outcome, score: Score) -> None:
        """The leader does."""

    def report(self, outcome: Outcome, score: Score) -> None:
        """The leader speaks."""

    def sum_up_failure(self, reason: str, message: str) -> None:
        """The leader does, if it can."""
