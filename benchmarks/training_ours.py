"""Training as slangmod does it, from encodings on disk to the rows of steps.csv."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_models import BATCH, DIM, HEADS, LAYERS, SEQ
from training_rivals import LOG, RATE, STEPS, WARM_UP

from slangmod.settings.sections import Settings

VOCAB = 4096
HERE = Path(__file__).parent
FOLDER = HERE / "work" / "training"


def settings_of(precision: str, compiled: bool, threads: int, **more: Any) -> Settings:
    """The reference model, which the rivals train, too; ``more`` changes it."""
    return Settings().replace(
        **{
            "workdir": str(FOLDER),
            "threads": threads,
            "progress": False,
            "files.raw": str(FOLDER / "sample"),
            "tokens.vocab": VOCAB,
            "data.device": "cpu",
            "data.seq_len": SEQ,
            "data.precision": precision,
            "model.dim": DIM,
            "model.n_heads": HEADS,
            "model.n_layers": LAYERS,
            "model.context": SEQ,
            "model.positions": "learnable",
            "model.dropout": 0.0,
            "model.compile": compiled,
            "train.batch_size": BATCH,
            "train.label_smoothing": 0.0,
            "train.clip_grad": 1.0,
            "train.learning_rate": RATE,
            "train.warmup": WARM_UP,
            "train.cb_freq": LOG,
            "train.max_steps": STEPS,
            "train.max_epochs": STEPS,
            "train.eval_freq": STEPS,
            **more,
        }
    )


def prepare(settings: Settings) -> Path:
    """-> the ids to train on, made by slangmod's own actions."""
    from slangmod.commands.clean import clean
    from slangmod.commands.encode import encode
    from slangmod.commands.tokenize import tokenize
    from slangmod.data.shards import check_fresh
    from slangmod.text.sample import write_sample

    write_sample(FOLDER / "sample")
    clean(settings)
    tokenize(settings)
    encode(settings)
    encodings = check_fresh(settings)
    (shard,) = encodings.shard_paths("train")
    assert encodings.manifest.dtype == "uint16"
    assert encodings.manifest.vocab == settings.tokens.vocab
    return shard


def slangmod(
    settings: Settings,
    turns: Callable[[float | None], None],
) -> None:
    """``slangmod train`` without its checkpoints and evaluations.

    ``turns`` is called after each step.
    """
    import torch

    from slangmod.commands.recording import open_recording
    from slangmod.commands.session import build_trainer, open_session
    from slangmod.commands.stepping import choose_step
    from slangmod.data.shards import check_fresh
    from slangmod.runs.directory import RunDir
    from slangmod.runs.logfile import RunLog
    from slangmod.training.device import reproducible
    from slangmod.training.events import Event, Progress, StepDone, all_of

    losses: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, StepDone) and event.loss is not None:
            losses.append(event.loss)
        if isinstance(event, Progress):
            turns(losses[-1] if losses else None)

    with reproducible(enabled=True, threads=settings.threads or 1):
        session = open_session(settings, check_fresh(settings), torch.device("cpu"))
        objective, compiled = choose_step(session, settings.model.compile)
        assert compiled == settings.model.compile, (
            "whether to compile was chosen otherwise"
        )
        counters = session.state.counters
        with tempfile.TemporaryDirectory() as place:
            folder = RunDir.of(place, "turns")
            folder.root.mkdir(parents=True)
            with open_recording(
                folder, settings, RunLog(logging.INFO), counters
            ) as recording:
                trainer = build_trainer(
                    session,
                    objective,
                    save=lambda _: None,
                    requested=lambda: False,
                    tell=all_of(recording, watch),
                )
                trainer.fit(session.state, session.train, session.test)
