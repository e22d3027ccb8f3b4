"""Which program computes a step: the eager one, or a compiled one for each stage."""

import logging

import torch

from slangmod.commands.choices import Choices
from slangmod.commands.session import Session
from slangmod.errors import RunError
from slangmod.model.products import onednn_product, plain_product
from slangmod.model.transformer import Transformer
from slangmod.parallel.shards import shards_of
from slangmod.runs.environment import cpu_name
from slangmod.training.compiling import (
    PAYS_AFTER,
    compiled_or_eager,
    estimated_seconds,
)
from slangmod.training.feed import to_device
from slangmod.training.portions import of_rows
from slangmod.training.step import Objective

SLOW_HERE = "AMD"
"""Of the names of processors on which the products of float32 that PyTorch chooses take
twice as long as oneDNN's."""

COMPILED_IN = (
    ("train", "batch_size"),
    ("train", "label_smoothing"),
    ("train", "z_loss"),
    ("train", "activation_checkpointing"),
    ("data", "seq_len"),
    ("data", "precision"),
    ("model", "dropout"),
)
"""What shapes a compiled step and may change between stages: section and name."""

LOG = logging.getLogger(__name__)


def chosen(choices: Choices) -> dict[str, bool | int | str]:
    """What summary.toml says of how a run computes."""
    rows: dict[str, int] = (
        {} if choices.rows is None else {"rows_at_once": choices.rows}
    )
    onednn = {"float32_products": "oneDNN"} if choices.onednn else {}
    return {
        "compiled": choices.compiled,
        "deterministic": choices.deterministic,
        **rows,
        **onednn,
    }


def choose_step(
    session: Session, wanted: bool, rows: int | None = None
) -> tuple[Objective, bool]:
    """The step to train with, compiled if that is ``wanted``, pays, and works.

    ``rows`` are computed at a time, here and in the others; None: a mini-batch.
    """
    if not wanted:
        return session.objective, False
    if shards_of(session.state.model) is not None:
        LOG.info("not compiled: the model is spread over the processes")
        return session.objective, False
    parameters = sum(weight.numel() for weight in session.state.model.parameters())
    seconds = sum(
        estimated_seconds(
            session.device.type,
            parameters,
            session.settings.model.n_layers,
            leg.length.batches,
            leg.tokens_per_batch,
        )
        for leg in session.legs
    )
    if seconds < PAYS_AFTER:
        LOG.info("not compiled: so short a training is over before that pays")
        return session.objective, False
    use_onednn(session, faster_by_onednn(session))
    return compile_step(session, rows)


def faster_by_onednn(session: Session) -> bool:
    """Whether products in float32 should be left to oneDNN here."""
    return (
        session.device.type == "cpu"
        and session.stage.data.precision == "float32"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and SLOW_HERE in cpu_name()
    )


def use_onednn(session: Session, wanted: bool) -> None:
    """Leave products in float32 to oneDNN, or to whom PyTorch chooses."""
    model = session.state.model
    assert isinstance(model, Transformer)  # new_state has built it
    model.set_product(onednn_product() if wanted else plain_product)


def uses_onednn(session: Session) -> bool:
    """Whether products in float32 are left to oneDNN."""
    model = session.state.model
    assert isinstance(model, Transformer)
    return model.product is not plain_product


def compile_step(session: Session, rows: int | None = None) -> tuple[Objective, bool]:
    """The compiled step, tried on the first batch; the eager one if that fails."""
    LOG.info("compiling the training step")
    session.state.model.train()
    batch = of_rows(session.train.batch(session.train.first_batch), rows)
    ready = to_device(batch, session.device)
    with session.wrapping.hold():  # whether it works is not known of all yet
        objective, compiled = compiled_or_eager(
            session.objective, ready, session.state.model.parameters()
        )
    if session.team.any(not compiled):
        return session.objective, False
    return objective, True


def step_again(session: Session, choices: Choices) -> Objective:
    """The step of a run that goes on; RunError if it was compiled and cannot be.

    That of a model that is spread over the processes from now on is not compiled.
    """
    spread = shards_of(session.state.model) is not None
    use_onednn(session, choices.onednn and not spread)
    if spread or not choices.compiled:
        return session.objective
    return compile_again(session, choices.rows)


def compile_again(session: Session, rows: int | None = None) -> Objective:
    """The compiled step of a run that was compiled before; RunError if that fails."""
    objective, compiled = compile_step(session, rows)
    if not compiled:
        raise RunError(
            "the run was compiled, and cannot be here: its bits would differ"
        )
    return objective


def next_step(
    before: Session, session: Session, objective: Objective, rows: int | None = None
) -> Objective:
    """The step of a stage, given the ``objective`` of the stage ``before``.

    What was compiled for other shapes is forgotten first: the compiler would else
    make another program of the stage than in a process that begins with it.
    """
    if objective is before.objective:
        return session.objective
    stages = before.stage, session.stage
    old, new = (
        [getattr(getattr(one, section), name) for section, name in COMPILED_IN]
        for one in stages
    )
    if old == new:
        return objective
    torch.compiler.reset()
    return compile_again(session, rows)
