"""Writes down what becomes of a run: checkpoints, tables, model and summary."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from slangmod.commands.bad_steps import BadSteps
from slangmod.commands.bystander import Bystander
from slangmod.commands.choices import Choices
from slangmod.commands.costs import cost_of, open_speed, tell_cost
from slangmod.commands.hand import Hand, announced
from slangmod.commands.measuring import MemoryWatch
from slangmod.commands.recording import (
    Recording,
    attach_log,
    detach_log,
    open_recording,
)
from slangmod.commands.rewinding import incidents
from slangmod.commands.sampling import samplers
from slangmod.commands.saving import GOING_BACK, Ground, Insistence, build_saver
from slangmod.commands.session import Session
from slangmod.commands.staging import stage_tables
from slangmod.commands.stepping import chosen
from slangmod.commands.sums import forget_sums, sums_at_end
from slangmod.data.shards import Encodings
from slangmod.model.folder import save_model
from slangmod.model.transformer import Transformer
from slangmod.parallel.shards import shards_of
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir
from slangmod.runs.environment import environment
from slangmod.runs.logfile import RunLog
from slangmod.runs.series import read_series
from slangmod.runs.summary import write_summary
from slangmod.settings.levels import level_of
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import FILE_OF, checkpoint_path
from slangmod.training.disk import trouble
from slangmod.training.evaluate import Score
from slangmod.training.events import Callback
from slangmod.training.limits import Outcome
from slangmod.training.parts import file_of
from slangmod.training.peak import Peak, peak_of
from slangmod.training.saver import Saver
from slangmod.training.stopping import Patience

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scribe:
    """Saves a run, tells all watchers of it, and sums it up however it ends."""

    run: RunDir
    session: Session
    """as the run begins; its state goes on"""
    encodings: Encodings
    tokenizer: bytes
    """the content of its file as the run began"""
    choices: Choices
    recording: Recording
    ground: Ground
    gives_up: Callable[[], bool]
    """asked while the disk is waited for"""

    @cached_property
    def saver(self) -> Saver:
        """Writes the checkpoints of the run; the one it goes on from stays."""
        return build_saver(
            self.run, self.session, self.encodings, self.choices, self.ground
        )

    @cached_property
    def peak(self) -> Peak:
        """What all devices could do; measured, if need be, before the first step."""
        settings, size = self.session.settings, self.session.team.size
        one = peak_of(self.session.device, settings.data.precision)
        return one if size == 1 else Peak(size * one.flops, f"{size} x {one.source}")

    @cached_property
    def memory(self) -> MemoryWatch:
        """Measures memory now and then."""
        session = self.session
        return MemoryWatch(self.recording.memory, session.state, session.device)

    @property
    def insist(self) -> Insistence:
        """Writes the end of the run, however long the disk refuses, within reason."""
        stop = self.session.settings.checkpoint.on_error == "stop"
        return Insistence(
            self.run,
            lambda: stop or self.gives_up(),
            self.recording.complaints,
        )

    def watchers(self, session: Session) -> tuple[Callback, ...]:
        """What watches a stage as it is trained: ``session`` is the stage's."""
        vocab = self.encodings.manifest.vocab
        speed = open_speed(session, vocab, self.peak, self.recording)
        rows = session.train.part_of(0, 1)
        bad_steps = BadSteps(self.run, rows, session.settings.seed)
        samples = samplers(session, self.tokenizer, self.recording.samples)
        return (self.recording, self.memory, speed, bad_steps, *samples)

    def save_end(self) -> None:
        """Have the last state on disk; RunError where it refuses for too long."""
        self.together(self.insist, lambda: self.saver.insist(self.session.state))

    def while_going_back(self, act: Callable[[], None]) -> None:
        """Do what going back needs of the disk; RunError where it refuses too long."""
        self.together(replace(self.insist, of=GOING_BACK), act)

    def together(self, insist: Insistence, act: Callable[[], None]) -> None:
        """Insist on ``act``, which all do who hold some rows of the model."""
        with announced(self.session) as announce:

            def one() -> None:
                announce()
                act()

            insist(one)

    def keep_model(self, patience: Patience) -> None:
        """Write the weights as they are now, which are the best, to ``model/``.

        Those of a model that is spread over several processes come from a checkpoint.
        """
        model = self.session.state.model
        assert isinstance(model, Transformer)  # new_state has built it
        best = checkpoint_path(self.run.checkpoints, patience.best_step)
        name = FILE_OF[patience.best_weights]

        def write() -> None:
            self.ground.refuse_if_taken()
            content = None if model.shards is None else file_of(best, name)
            save_model(self.run.model, model, self.tokenizer, content)

        self.insist(write)

    def sum_up(self, outcome: Outcome, score: Score) -> None:
        """Write the summary of a run that has ended by its rules."""
        ended = {"reason": outcome.reason, "why": outcome.why}
        ended |= self.best(outcome.patience)
        self.insist(lambda: self.summarize(ended, score))

    def report(self, outcome: Outcome, score: Score) -> None:
        """Say how good the model is that was kept, and what it has cost."""
        LOG.info(
            "validation of step %d: loss %.4f | perplexity %.2f | bits per byte %.4f "
            "| accuracy %.4f",
            outcome.patience.best_step,
            score.loss,
            score.perplexity,
            score.bits_per_byte,
            score.accuracy,
        )
        tell_cost(self.session, self.cost())
        LOG.info("%d steps, %s", self.session.state.counters.step, self.run.root)

    def sum_up_failure(self, reason: str, message: str) -> None:
        """Write a summary of a run that has not ended by its rules, if that can be."""
        try:
            if not self.ground.is_taken():
                self.summarize({"reason": reason, "message": message}, None)
        except OSError as error:  # which must not hide what has happened
            LOG.warning("%s", trouble(self.run.summary, error))

    def best(self, patience: Patience) -> dict[str, Any]:
        """What [outcome] says of the best model; None where there is none."""
        known = patience.best_step > 0
        averages = known and self.session.state.average is not None
        return {
            "best_step": patience.best_step,
            "best_test_loss": patience.best_loss if known else None,
            "best_weights": patience.best_weights if averages else None,
        }

    def summarize(self, outcome: Mapping[str, Any], score: Score | None) -> None:
        """Write summary.toml."""
        counters = self.session.state.counters
        patience = self.session.state.patience
        size = self.session.team.size
        forget_sums(self.run)  # who ends a run that hangs may do so after its end
        known = {
            "steps": counters.step,
            "epochs": counters.epoch,
            **self.best(patience),
            **incidents(self.session.state),
        }
        write_summary(
            self.run.summary,
            {"reason": None, "why": None, **known, **outcome},
            asdict(score) if score else {},
            environment(self.choices.device, self.choices.threads)
            | chosen(self.choices)
            | ({} if size == 1 else {"processes": size}),
            self.cost(),
            self.stages(),
        )

    def cost(self) -> dict[str, Any]:
        """What training has cost so far."""
        vocab = self.encodings.manifest.vocab
        return cost_of(self.session, vocab, self.peak, self.stages())

    def stages(self) -> list[dict[str, Any]]:
        """What each stage did that has begun; none of a run without."""
        if not self.session.settings.stage:
            return []
        columns = ("stage", "step", "epoch", "tokens", "test_loss")
        evaluations = list(read_series(self.run.epochs, columns).rows())
        return stage_tables(self.session.legs, self.session.state.counters, evaluations)


@contextmanager
def logged(settings: Settings, team: Team) -> Iterator[RunLog | None]:
    """A log that remembers what is said before its run has a folder, if it leads."""
    if not team.leads:
        yield None
        return
    log = attach_log(level_of(settings.log_level))
    try:
        yield log
    except Exception as error:
        log.end_with(error)
        raise
    finally:
        detach_log(log)


@contextmanager
def written_by(
    run: RunDir,
    session: Session,
    encodings: Encodings,
    tokenizer: bytes,
    choices: Choices,
    gives_up: Callable[[], bool],
    log: RunLog | None,
) -> Iterator[Scribe | Bystander]:
    """Who writes down the run: with a ``log``, a scribe that has all its files open."""
    if log is None:
        spread = shards_of(session.state.model) is not None
        hand = Hand(run, session, encodings, tokenizer, choices)
        yield hand if spread else Bystander()
        return
    done = session.state.counters
    with (
        ExitStack() as held,
        sums_at_end(run),
        open_recording(run, session.settings, log, done) as recording,
    ):
        yield Scribe(
            *(run, session, encodings, tokenizer, choices, recording),
            Ground(run, recording, held),
            gives_up,
        )
