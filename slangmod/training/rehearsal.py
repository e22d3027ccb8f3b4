"""A few training steps without numbers: what would be held in memory, and when.

The real model takes real steps, but on tensors that have a shape and no content
(PyTorch's fake tensors), so that it takes no memory and little time to see every
allocation that training will make: each tensor that forward and backward pass, clipping
and optimizer make and drop, in the types and by the kernels of the device.
"""

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from slangmod.data.dataset import Batch
from slangmod.model.build import skeleton
from slangmod.model.transformer import Transformer
from slangmod.optim import build_optimizer
from slangmod.settings.sections import Settings
from slangmod.training.chunks import rows_at_a_time
from slangmod.training.state import TrainState, build_state
from slangmod.training.step import Objective, accumulate_gradients, clip_gradients

WEIGHTS, COPIES, GRADIENTS, OPTIMIZER, ACTIVATIONS, LOGITS = PARTS = (
    "weights",
    "copies",
    "gradients",
    "optimizer",
    "activations",
    "logits",
)
"""What memory is held for. "copies" are second sets of weights, "logits" all tensors
with a number for each token of a chunk and of the vocabulary, "activations" whatever
else passes through."""

STEPS = 3
"""The first sets up the optimizer; from the second on all are alike, save for what the
allocator has kept."""

Event = tuple[int, int]
"""Number of an allocation, and its bytes; 0 where it is given back."""


@dataclass(frozen=True)
class Rehearsal:
    """What training holds, in bytes."""

    events: tuple[Event, ...]
    """every allocation, and when it is given back, in order"""
    at_peak: Mapping[str, int]
    """bytes by PARTS when most is held"""

    @property
    def peak(self) -> int:
        """Most bytes that are held at once."""
        return sum(self.at_peak.values())


class Witness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down each storage that comes and goes while it is the active mode."""

    def __init__(self, logits: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.logits = logits
        self.part = WEIGHTS
        self.events: list[Event] = []
        self.held = dict.fromkeys(PARTS, 0)
        self.at_peak = dict(self.held)
        self._parts: dict[int, tuple[int, int, str]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Let ``func`` happen and look at what it returns."""
        del types
        if func is torch.ops.aten._local_scalar_dense.default:
            return 0.5  # what has no content is read as finite and positive
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self.see(tensor)
        return result

    def see(self, tensor: Tensor) -> None:
        """Count the storage of ``tensor`` unless it is known."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._parts or not storage.nbytes():
            return
        part = self.part
        if part == ACTIVATIONS and tensor.numel() == self.logits:
            part = LOGITS
        self._parts[key] = len(self.events), storage.nbytes(), part
        self.held[part] += storage.nbytes()
        self.events.append((len(self.events), storage.nbytes()))
        weakref.finalize(storage, self.drop, key)
        if sum(self.held.values()) > sum(self.at_peak.values()):
            self.at_peak = dict(self.held)

    def drop(self, key: int) -> None:
        """The storage is no more."""
        number, size, part = self._parts.pop(key)
        self.held[part] -= size
        self.events.append((number, 0))

    def belongs(self, tensor: Tensor | None, part: str) -> None:
        """From now on ``tensor`` counts as ``part``."""
        if tensor is None:
            return
        key = tensor.untyped_storage()._cdata
        number, size, before = self._parts[key]
        self._parts[key] = number, size, part
        self.held[before] -= size
        self.held[part] += size


BuildObjective = Callable[[Settings, TrainState, torch.device], Objective]


def rehearse(
    settings: Settings,
    vocab: int,
    device: torch.device,
    build_objective: BuildObjective,
) -> Rehearsal:
    """What STEPS training steps of ``settings`` would hold; takes no memory."""
    # Classes of others are tried on real numbers when a model is made of them.
    end = 0 if settings.data.packing == "mask" else None  # any token will do
    model = skeleton(settings.model, vocab, settings.plugins.allow, end)
    with FakeTensorMode(allow_non_fake_inputs=True):
        return watch_steps(settings, model, vocab, device, build_objective)


def watch_steps(
    settings: Settings,
    model: Transformer,
    vocab: int,
    device: torch.device,
    build_objective: BuildObjective,
) -> Rehearsal:
    """What STEPS training steps hold, and an evaluation between the last two."""
    train, seq_len = settings.train, settings.data.seq_len
    shape = train.batch_size, seq_len
    rows = min(math.prod(shape), rows_at_a_time(vocab, device))
    with Witness(rows * vocab) as witness:
        give_memory(model, device)
        optimizer = build_optimizer(eager_to_learn(settings), model)
        witness.part = COPIES
        state = build_state(settings, model, optimizer)
        for weight in model.parameters():
            weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda weight: witness.belongs(weight.grad, GRADIENTS)
            )
        objective = build_objective(settings, state, device)
        for number in range(STEPS):
            witness.part = ACTIVATIONS
            ids = torch.zeros(shape, dtype=torch.int64)
            if number == STEPS - 1:
                evaluate(objective, model, Batch(ids, ids), device)
            batches = [Batch(ids, ids)] * min(train.step_freq, 2)
            take_step(objective, state, batches, device, witness)
        return Rehearsal(tuple(witness.events), witness.at_peak)


def take_step(
    objective: Objective,
    state: TrainState,
    batches: Sequence[Batch],
    device: torch.device,
    witness: Witness,
) -> None:
    """One optimizer step, as the trainer takes it."""
    result = accumulate_gradients(objective, batches, device, lambda _: None)
    norm = clip_gradients(list(state.model.parameters()), 1.0)
    witness.part = OPTIMIZER
    state.optimizer.step()
    if state.average is not None:
        state.average.follow(state.model, 1)
    state.optimizer.zero_grad(set_to_none=True)
    del result, norm


@torch.no_grad()
def evaluate(
    objective: Objective,
    model: nn.Module,
    batch: Batch,
    device: torch.device,
) -> None:
    """A forward pass without dropout."""
    model.eval()
    objective(*(ids.to(device) for ids in batch))
    model.train()


def give_memory(model: nn.Module, device: torch.device) -> None:
    """Put tensors of ``device`` in the place of those that are only described."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            new = nn.Parameter(torch.empty(weight.shape, device=device))
            setattr(module, name, new)
        for name, table in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(table.shape, device=device))


def eager_to_learn(settings: Settings) -> Settings:
    """The same settings, L-BFGS without the first steps in which it needs less."""
    if settings.train.optimizer != "bfgs":
        return settings
    optimizer = settings.optimizer.model_copy(update={"bfgs_warmup": 0})
    return settings.model_copy(update={"optimizer": optimizer})
