"""Why training ends, in plain words: one function for each reason there is."""

from collections.abc import Callable
from typing import Final

from slangmod.training.state import TrainState


def all_epochs(_: TrainState) -> str:
    """The last epoch is over."""
    return "all epochs are done"


def all_steps(_: TrainState) -> str:
    """The last optimizer step is done."""
    return "train.max_steps is reached"


def all_time(_: TrainState) -> str:
    """There is no time left."""
    return "train.max_time is over"


def all_stages(state: TrainState) -> str:
    """The last stage is over."""
    return f"all {state.counters.stage} stages are done"


def no_better_epoch(state: TrainState) -> str:
    """Patience in epochs ran out."""
    patience = state.patience
    return (
        f"test loss has not improved for {patience.waited} epochs: "
        f"best {patience.best_loss:.4g} at step {patience.best_step}"
    )


def no_better_steps(state: TrainState) -> str:
    """Patience in optimizer steps ran out."""
    return (
        "no significantly better test loss since step "
        f"{state.patience.steps.reference_step}: "
        f"patience ended at step {state.counters.step}"
    )


def at_rest(state: TrainState) -> str:
    """A norm fell below its threshold."""
    known = state.convergence
    return (
        f"{known.kind} norm {known.norm:.3g} below convergence_threshold "
        f"{known.threshold:g} at step {state.counters.step}"
    )


WHY: Final[dict[str, Callable[[TrainState], str]]] = {
    "max_epochs": all_epochs,
    "max_steps": all_steps,
    "max_time": all_time,
    "stages": all_stages,
    "patience": no_better_epoch,
    "patience_steps": no_better_steps,
    "converged": at_rest,
}
