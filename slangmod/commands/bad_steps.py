"""Steps that were not finite, kept so that they can be looked at and repeated."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save

from slangmod.data.dataset import TokenDataset
from slangmod.files import write_bytes, write_json
from slangmod.reading import read_json
from slangmod.runs.directory import RunDir
from slangmod.runs.incidents import finite
from slangmod.syncing import sync_folder
from slangmod.training.checkpoint import checkpoint_path, list_checkpoints, step_of
from slangmod.training.events import BadStep, Event

LOG = logging.getLogger(__name__)


PINNED: Final = 2
"""Bad steps, the last of a run, of which each has the checkpoint before it kept."""


def pinned_steps(run: RunDir) -> set[int]:
    """Steps of the checkpoints that the last few bad steps are repeated from."""
    found = set()
    for path in sorted(run.bad_steps.glob("step-*.json"))[-PINNED:]:
        with suppress(OSError, ValueError, TypeError, KeyError):
            found.add(step_of(Path(read_json(path)["checkpoint"])))
    return found


class BadSteps:
    """A callback that writes down each bad step: what it was, and its very ids.

    ``bad/step-000000123.json`` and ``.safetensors`` of the run. Where they cannot be
    written, that is a warning: training is not ended by it.
    """

    def __init__(self, run: RunDir, train: TokenDataset, seed: int) -> None:
        self._run, self._train, self._seed = run, train, seed

    def __call__(self, event: Event) -> None:
        """Write ``event`` down if it is a bad step."""
        if not isinstance(event, BadStep):
            return
        path = self._run.bad_steps / f"step-{event.step:09d}.json"
        positions = range(event.begin, event.batch)
        batches = [self._train.batch(position) for position in positions]
        tensors = {
            "inputs": torch.stack([batch.inputs for batch in batches]),
            "targets": torch.stack([batch.targets for batch in batches]),
        }
        try:
            path.parent.mkdir(exist_ok=True)  # of a run that is there, or not at all
            sync_folder(self._run.root)
            write_bytes(path.with_suffix(".safetensors"), save(tensors))
            write_json(path, self._about(event))
        except OSError as error:
            LOG.warning("%s: cannot be written: %s", path, error.strerror)
            return
        LOG.info("step %d is kept in %s", event.step, path)

    def _about(self, bad: BadStep) -> dict[str, Any]:
        """All that is needed to repeat the step, and what came of it."""
        before = (
            checkpoint_path(path.parent, step_of(path)).name
            for path in list_checkpoints(self._run.checkpoints)
            if step_of(path) < bad.step
        )
        numbers = {
            "loss": bad.loss,
            "grad_norm": bad.grad_norm,
            "learning_rate": bad.learning_rate,
        }
        return {
            "step": bad.step,
            "epoch": bad.epoch,
            "stage": bad.stage,
            "seed": self._seed,
            "left_out": bad.in_a_row <= bad.allowed,
            **finite(numbers),
            "checkpoint": next(before, None),
            "batches": [self._batch(bad, place) for place in range(len(bad.tokens))],
        }

    def _batch(self, bad: BadStep, place: int) -> dict[str, Any]:
        """One mini-batch of the step: where its rows come from, and its loss."""
        position = bad.begin + place
        rows, starts, _ = self._train.places(position)
        tokens = bad.tokens[place]
        return {
            "position": position,
            "target_tokens": tokens,
            **finite({"loss": bad.losses[place] / max(1, tokens)}),
            "rows": rows,
            "first_tokens": starts,
        }
