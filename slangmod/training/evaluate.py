"""How good a model is: sums over all target tokens of a split, divided once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slangmod.data.dataset import IGNORE, TokenDataset
from slangmod.model.transformer import Transformer
from slangmod.parallel.team import ALONE, Team
from slangmod.training.chunks import chunks
from slangmod.training.device import autocast
from slangmod.training.events import perplexity
from slangmod.training.feed import Feed, to_device
from slangmod.training.loss import LossSum, count_targets, cross_entropy_sum

RANKS = (1, 2, 5)
"""A target counts as found if it is among so many likeliest tokens."""


@dataclass(frozen=True)
class Score:
    """What ``evaluate`` reports of a split."""

    loss: float
    """nats per target token, unsmoothed"""
    perplexity: float
    """exp(loss)"""
    bits_per_byte: float
    """nats / ln 2 / UTF-8 bytes of the text whose tokens were targets"""
    accuracy: float
    """share of targets that were the likeliest token"""
    top_2_accuracy: float
    top_5_accuracy: float
    tokens: int
    """target tokens"""


def never() -> bool:
    """No reason to break off."""
    return False


@dataclass(frozen=True)
class Evaluator:
    """Looks at a whole split with dropout off, a mini-batch at a time."""

    device: torch.device
    precision: str
    interrupted: Callable[[], bool] = never
    """asked before each mini-batch; if true, the evaluation is given up"""
    team: Team = ALONE
    """of which each has a part of the mini-batches"""

    def loss(self, model: nn.Module, dataset: TokenDataset) -> LossSum | None:
        """Cross-entropy over the split; None if it was interrupted."""
        sums = self._sums(model, dataset, None)
        return sums and LossSum(sums[0], sums[1])

    def score(
        self, model: nn.Module, dataset: TokenDataset, token_bytes: Tensor
    ) -> Score | None:
        """All figures of the split; ``token_bytes`` [vocab] as in the encodings."""
        table = token_bytes.to(self.device, torch.float64)

        def counts(logits: Tensor, targets: Tensor) -> Tensor:
            known = targets != IGNORE
            likeliest = logits[known].float().topk(min(5, logits.shape[-1])).indices
            found = likeliest == targets[known].unsqueeze(-1)
            hits = torch.stack([found[:, :rank].sum() for rank in RANKS]).double()
            return torch.cat((hits, table[targets[known]].sum().view(1)))

        sums = self._sums(model, dataset, counts)
        if sums is None:
            return None
        total, tokens, (first, second, fifth, text) = sums
        return Score(
            total / tokens,
            perplexity(total / tokens),
            total / math.log(2) / text if text else math.nan,
            first / tokens,
            second / tokens,
            fifth / tokens,
            tokens,
        )

    @torch.inference_mode()
    def _sums(
        self,
        model: nn.Module,
        dataset: TokenDataset,
        counts: Callable[[Tensor, Tensor], Tensor] | None,
    ) -> tuple[float, int, list[float]] | None:
        """Nats, target tokens and the sums of ``counts``; None if interrupted."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        others = torch.zeros(len(RANKS) + 1, dtype=torch.float64, device=self.device)
        tokens = 0
        assert isinstance(model, Transformer)  # logits are made of its hidden states
        was_training = model.training
        model.eval()
        try:
            with Feed(dataset, self.device) as feed:
                for position in range(dataset.batches_in(1)):
                    if self.interrupted():
                        return None
                    batch = feed.batch(position)
                    tokens += count_targets(batch.targets)
                    inputs, targets = to_device(batch, self.device)
                    with autocast(self.device, self.precision):
                        hidden = model.hidden(inputs)
                    # Of one chunk after the other: never all logits of a batch.
                    for rows, wanted in chunks(hidden, targets, len(model.predictor)):
                        with autocast(self.device, self.precision):
                            logits = model.head(rows)
                        total += cross_entropy_sum(logits, wanted).double()
                        if counts is not None:
                            others += counts(logits, wanted)
        finally:
            model.train(was_training)
            if model.shards is not None:
                model.shards.gather_again()
        sums = torch.cat((total[None], total.new_tensor([tokens]), others))
        found, counted, *rest = self.team.sum(sums).tolist()
        return found, int(counted), rest
