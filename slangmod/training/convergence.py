"""How far training still moves: a norm that each evaluation takes note of."""

from collections.abc import Callable
from typing import Final

from slangmod.training.copies import distance, renew
from slangmod.training.ledger import GRAD_NORM
from slangmod.training.state import TrainState


def gradient_norm(state: TrainState) -> float:
    """2-norm of the gradient of the last optimizer step, accumulated, not clipped."""
    return float(state.sums[GRAD_NORM])


def update_norm(state: TrainState) -> float | None:
    """2-norm of the change of all weights since the last evaluation.

    Before the first, since the start. None where the weights of then are not kept.
    """
    return None if state.evaluated is None else distance(state.evaluated, state.model)


NORMS: Final[dict[str, Callable[[TrainState], float | None]]] = {
    "gradient": gradient_norm,
    "update": update_norm,
}


def take_note(state: TrainState) -> None:
    """Enter into ``state`` how far training moves at an evaluation that was due."""
    state.convergence = state.convergence.after(NORMS[state.convergence.kind](state))
    if state.evaluated is not None:
        renew(state.evaluated, state.model)
