"""Attention in blocks against attention as it is defined."""

import pytest
import torch

from slangmod.model import causal
from slangmod.model.attention import fused_attention
from slangmod.model.causal import causal_attention


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 20])
def test_values_and_gradients_are_those_of_the_definition(
    tokens: int, monkeypatch
) -> None:
    monkeypatch.setattr(causal, "BLOCK", 8)
    torch.manual_seed(0)
    inputs = torch.randn(3, 2, 4, tokens, 6, dtype=torch.float32, requires_grad=True)
    slope = torch.randn(2, 4, tokens, 6)
    found = []
    for attention in (causal_attention, lambda *qkv: fused_attention(*qkv, 0.0)):
        mixed = attention(*inputs)
        found.append((mixed, *torch.autograd.grad(mixed, inputs, slope)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_blocks_cover_all_queries_and_look_no_further(monkeypatch) -> None:
    monkeypatch.setattr(causal, "BLOCK", 8)
    assert list(causal.blocks(20)) == [(0, 8), (8, 16), (16, 20)]


def test_gradients_in_bfloat16_are_as_exact_as_those_of_the_fused_kernel() -> None:
    torch.manual_seed(0)
    exact = torch.randn(3, 2, 2, 16, 8)
    slope = torch.randn(2, 2, 16, 8)
    gradients = []
    for attention, dtype in (
        (lambda *qkv: fused_attention(*qkv, 0.0), torch.float32),
        (lambda *qkv: fused_attention(*qkv, 0.0), torch.bfloat16),
        (causal_attention, torch.bfloat16),
    ):
        inputs = exact.to(dtype).detach().requires_grad_()
        (attention(*inputs).float() * slope).sum().backward()
        assert inputs.grad is not None
        gradients.append(inputs.grad.float())
    wanted, fused, blocked = gradients
    assert (fused - wanted).norm() / wanted.norm() < 0.015
    assert (blocked - wanted).norm() / wanted.norm() < 0.015
