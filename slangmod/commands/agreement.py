"""What several processes of a run must decide by alike: signals, time, another try.

At each border of a step they exchange a few numbers, and what any has to say.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from slangmod.commands.signals import Signals
from slangmod.commands.voices import Voices
from slangmod.parallel.team import Team
from slangmod.training.state import TrainState
from slangmod.training.trainer import Trainer

SECONDS, AGAIN, WORDS, SIGNALS = range(4)
"""Places of what is exchanged; from the last on, the signal that each rank received."""


class Agreement:
    """Makes all processes stop, save and end at the same step.

    ``requested`` notes that this process is alive, and says whether it is to stop;
    ``due_again`` is whether the leader should try a checkpoint once more; all ask it.
    """

    def __init__(
        self,
        team: Team,
        signals: Signals,
        voices: Voices,
        requested: Callable[[], bool],
        due_again: Callable[[], bool],
    ) -> None:
        self._team, self._signals, self._voices = team, signals, voices
        self._requested, self._due_again = requested, due_again
        self._stop = self._again = False

    def steer(self, trainer: Trainer) -> Trainer:
        """The same trainer, which does whatever all of them agree on."""
        evaluator = replace(trainer.evaluator, interrupted=self.interrupted)
        return replace(
            trainer,
            evaluator=evaluator,
            stop_requested=lambda: self._stop,
            save_again=lambda: self._again,
            agree=self.agree,
        )

    def agree(self, state: TrainState) -> None:
        """At the border of a step: the leader's time, and anybody's signal, count."""
        seconds = state.counters.seconds if self._team.leads else 0.0
        again = self._due_again() and self._team.leads
        numbers = self._exchange(seconds, again)
        state.counters.seconds = numbers[SECONDS]
        self._again = numbers[AGAIN] > 0

    def interrupted(self) -> bool:
        """Whether any has been told to stop."""
        self._exchange(0.0, again=False)
        return self._stop

    def _exchange(self, seconds: float, again: bool) -> list[float]:
        """The sums of what each has to tell."""
        self._requested()
        mine = torch.zeros(SIGNALS + self._team.size, dtype=torch.float64)
        mine[SECONDS], mine[AGAIN] = seconds, again
        mine[WORDS] = self._voices.waiting
        mine[SIGNALS + self._team.rank] = self._signals.received or 0
        numbers: list[float] = self._team.sum(mine).tolist()
        if numbers[WORDS]:
            self._voices.exchange()
        received = next((int(one) for one in numbers[SIGNALS:] if one), None)
        if received is not None:
            self._signals.hear(received)
            self._stop = True
        return numbers
