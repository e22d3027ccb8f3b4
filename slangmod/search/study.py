"""A study: all trials of a sweep, asked for and told one by one, each once."""

import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from slangmod.errors import DataError, UserError
from slangmod.search.proposals import Proposal, Question, distributions
from slangmod.search.soundness import (
    HOME,
    REASON,
    SECONDS,
    TOKEN,
    is_about,
    refuse_unsound,
)
from slangmod.search.space import Space
from slangmod.settings.literals import printable

LONGEST = 200
"""Characters of a value that is told."""

ABOUT = "slangmod"
"""The attribute of a study that says what has to stay the same."""

COUNT = "count of "
"""What the attribute of a study begins with that is the count of a home."""

Turn = Callable[[], AbstractContextManager[object]]

RUNNING, COMPLETE, PRUNED, FAILED = "running", "complete", "pruned", "failed"
STATES = {
    TrialState.RUNNING: RUNNING,
    TrialState.WAITING: RUNNING,
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
}
"""What may become of a trial."""


@dataclass(frozen=True)
class Record:
    """One trial as it stands: values by dotted name, metric, seconds of training.

    ``home`` is the sweep's folder that it belongs to, known by a word of chance.
    """

    number: int
    state: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    seconds: float | None = None
    reason: str = ""
    home: str = ""

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Record":
        """What optuna keeps of a trial."""
        about = trial.user_attrs
        return cls(
            trial.number,
            STATES[trial.state],
            dict(trial.params),
            trial.value if trial.state == TrialState.COMPLETE else None,
            about.get(SECONDS),
            str(about.get(REASON, "")),
            str(about.get(HOME, "")),
        )


class Study:
    """Trials by number; whoever else shares the storage may add to them."""

    def __init__(
        self, study: optuna.Study, space: Space, turn: Turn = nullcontext
    ) -> None:
        self._study = study
        self._space = space
        self.turn = turn
        """what opens a block that only one worker on the study is in at a time"""

    def history(self) -> tuple[FrozenTrial, ...]:
        """All trials, oldest first."""
        return tuple(self._study.get_trials(deepcopy=False))

    def records(self) -> tuple[Record, ...]:
        """All trials as they stand."""
        return tuple(map(Record.of, self.history()))

    def ask(
        self, propose: Proposal, seed: int, startup: int, home: str
    ) -> Record | None:
        """A new trial, running, as ``propose`` wants it; None where nothing is left.

        It is there with all its parameters or not at all.
        """
        direction = self._study.direction.name.lower()
        question = Question(self._space, seed, startup, direction, self.history())
        parameters = propose(question)
        if parameters is None:
            return None
        token = uuid.uuid4().hex
        trial = create_trial(
            state=TrialState.RUNNING,
            params=parameters,
            distributions=distributions(self._space),
            user_attrs={HOME: home, TOKEN: token},
        )
        self._study.add_trial(trial)
        return next(
            Record.of(one)
            for one in reversed(self.history())
            if one.user_attrs.get(TOKEN) == token
        )

    def count_for(self, home: str, count: int) -> None:
        """Keep a count for those who are known as ``home``, by which they live."""
        self._study.set_user_attr(COUNT + home, count)

    def counts(self) -> dict[str, int]:
        """The counts of all homes."""
        return {
            name.removeprefix(COUNT): int(count)
            for name, count in self._study.user_attrs.items()
            if name.startswith(COUNT)
        }

    def take_over(self, record: Record, home: str) -> bool:
        """Make a trial that has not ended one of ``home``; False if another did."""
        with self.turn():
            now = Record.of(self._frozen(record.number))
            if (now.state, now.home) != (RUNNING, record.home):
                return False
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = Trial(self._study, self._frozen(record.number)._trial_id)
                trial.set_user_attr(HOME, home)
            return True

    def is_at_work(self, record: Record) -> bool:
        """Whether a trial has not ended and still is one of its home."""
        now = Record.of(self._frozen(record.number))
        return (now.state, now.home) == (RUNNING, record.home)

    def report(self, number: int, losses: Mapping[int, float]) -> bool:
        """Keep test losses by evaluation, from 1; whether the trial should end now."""
        frozen = self._frozen(number)
        sign = -1.0 if self._study.direction.name == "MAXIMIZE" else 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = Trial(self._study, frozen._trial_id)
            for evaluation, loss in sorted(losses.items()):
                if evaluation in frozen.intermediate_values:
                    continue
                trial.report(sign * loss, evaluation)
                if trial.should_prune():
                    return True
        return False

    def tell(
        self,
        number: int,
        state: str,
        *,
        value: float | None = None,
        reason: str = "",
        seconds: float | None = None,
    ) -> None:
        """How a trial ended: complete with a value, pruned, or failed for a reason.

        Of a trial that somebody else has told of nothing more is said.
        """
        if self._frozen(number).state.is_finished():
            return
        trial_id = self._frozen(number)._trial_id
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = Trial(self._study, trial_id)
            if reason:
                trial.set_user_attr(REASON, reason)
            if seconds is not None:
                trial.set_user_attr(SECONDS, seconds)
            kind = next(kind for kind, name in STATES.items() if name == state)
            self._study.tell(number, value, state=kind)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.history()[number]


def open_study(
    storage: BaseStorage,
    name: str,
    space: Space,
    about: Mapping[str, Any],
    pruner: BasePruner | None = None,
    turn: Turn = nullcontext,
) -> Study:
    """The study called ``name``, made if need be.

    ``about`` is what has to stay the same: space, direction, metric, settings. Raises
    UserError, naming what differs, where the study was begun with something else, and
    ValueError, or whatever optuna does, where what is kept is no study of slangmod's.
    """
    names = optuna.get_all_study_names(storage)
    if name not in names:  # looked up first: an attempt to create it leaves a trace
        optuna.create_study(
            storage=storage,
            study_name=name,
            direction=about["direction"],
            load_if_exists=True,
        )
    study = optuna.load_study(
        storage=storage,
        study_name=name,
        sampler=RandomSampler(0),  # proposals are made elsewhere
        pruner=pruner or NopPruner(),
    )
    then = study.user_attrs.get(ABOUT)
    if then is None and study.get_trials(deepcopy=False):
        raise DataError(
            f"study '{printable(name)}': was not made by slangmod; give the sweep "
            "another --name"
        )
    if then is None:
        study.set_user_attr(ABOUT, dict(about))
    elif not is_about(then):
        raise ValueError("what has to stay the same cannot be read")
    elif problems := differences(printable(name), then, about):
        raise UserError(*problems)
    refuse_unsound(study, space, about["direction"])
    found = Study(study, space, turn)
    found.counts()
    return found


def differences(
    name: str, then: Mapping[str, Any], now: Mapping[str, Any]
) -> list[str]:
    """In what a sweep differs from the one of that name that was begun."""
    old, new = _flat(then), _flat(now)
    return [
        f"{_brief(key)}: is now {_brief(new.get(key))}, sweep '{name}' was begun "
        f"with {_brief(old.get(key))}; leave it as it was, or give the sweep another "
        "--name"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(about: Mapping[str, Any]) -> dict[str, str]:
    """All that has to stay the same, as text by name."""
    sweep = {
        f"sweep.{part}": text for part, text in about.items() if isinstance(text, str)
    }
    return {**sweep, **about.get("settings", {}), **about.get("space", {})}


def _brief(text: str | None) -> str:
    return "something else" if text is None else printable(text)[:LONGEST]
