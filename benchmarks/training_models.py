"""Models of the rivals that are not installed, by their recipes, all of one shape.

``Nano`` follows nanoGPT's defaults (no biases, learnt positions, tied embeddings),
``Lit`` those of litgpt (biases, rotary positions on a quarter of each head, attention
and feed-forward side by side). Both use PyTorch's fused attention and exact GELU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS, DIM, HEADS, SEQ, BATCH = 6, 256, 8, 256, 8
HEAD = DIM // HEADS
TURNED = HEAD // 4
"""Features of a head that litgpt's rotary positions turn."""


def initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)


class NanoBlock(nn.Module):
    """Attention, then feed-forward, each on what a norm gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(DIM, bias=False)
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
        self.mix = nn.Linear(DIM, DIM, bias=False)
        self.norm_2 = nn.LayerNorm(DIM, bias=False)
        self.up = nn.Linear(DIM, 4 * DIM, bias=False)
        self.down = nn.Linear(4 * DIM, DIM, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(functional.gelu(self.up(self.norm_2(x))))

    def attention(self, x: Tensor) -> Tensor:
        rows, seq, _ = x.shape
        parts = self.qkv(x).split(DIM, dim=2)
        q, k, v = (p.view(rows, seq, HEADS, HEAD).transpose(1, 2) for p in parts)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.mix(y.transpose(1, 2).contiguous().view(rows, seq, DIM))


class Nano(nn.Module):
    """[batch, seq] ids and targets -> logits and mean loss."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, DIM)
        self.places = nn.Embedding(SEQ, DIM)
        self.blocks = nn.ModuleList(NanoBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(DIM, bias=False)
        self.head = nn.Linear(DIM, vocab, bias=False)
        initialise(self)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.places(places)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        flat = logits.view(-1, logits.shape[-1])
        return logits, functional.cross_entropy(flat, targets.view(-1))


class LitBlock(nn.Module):
    """Attention and feed-forward read the same; both are added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(DIM)
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.mix = nn.Linear(DIM, DIM)
        self.norm_2 = nn.LayerNorm(DIM)
        self.up = nn.Linear(DIM, 4 * DIM)
        self.down = nn.Linear(4 * DIM, DIM)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        mixed = self.attention(self.norm_1(x), cosines, sines)
        thought = self.down(functional.gelu(self.up(self.norm_2(x))))
        return thought + (mixed + x)

    def attention(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        rows, seq, _ = x.shape
        parts = self.qkv(x).split(DIM, dim=-1)
        q, k, v = (p.view(rows, seq, HEADS, HEAD).transpose(1, 2) for p in parts)
        q, k = (turned(heads, cosines, sines) for heads in (q, k))
        y = functional.scaled_dot_product_attention(
            q, k, v, dropout_p=0.0, scale=HEAD**-0.5, is_causal=True
        )
        return self.mix(y.transpose(1, 2).reshape(rows, seq, DIM))


def turned(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The first features of each head turned by the angles of its place."""
    first, rest = heads[..., :TURNED], heads[..., TURNED:]
    left, right = first.chunk(2, dim=-1)
    moved = first * cosines + torch.cat((-right, left), dim=-1) * sines
    return torch.cat((moved.to(heads.dtype), rest), dim=-1)


class Lit(nn.Module):
    """[batch, seq] ids -> logits [batch, seq, vocab]."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab, DIM)
        self.blocks = nn.ModuleList(LitBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, vocab, bias=False)
        initialise(self)
        self.head.weight = self.tokens.weight
        pairs = torch.arange(0, TURNED, 2).float() / TURNED
        angles = torch.arange(SEQ).float()[:, None] * 10_000.0**-pairs
        angles = angles.repeat(1, 2)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        seq = ids.shape[1]
        cosines, sines = self.cosines[:seq][None, None], self.sines[:seq][None, None]
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x, cosines, sines)
        return self.head(self.norm(x))
