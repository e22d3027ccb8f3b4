from typing import Any

import pytest
import torch

from slangmod.model import attention as module
from slangmod.model import build_model
from slangmod.model.attention import attend, explicit_attention, fused_attention
from slangmod.model.sight import document_begins, sight_of

LIMIT = module.EXPLICIT_LIMIT
KERNELS = [fused_attention, explicit_attention]


def by_hand(
    query: Any, key: Any, value: Any, window: int | None = None, begins: Any = None
) -> torch.Tensor:
    """Each position one by one, in float64."""
    batch, heads, new, head = query.shape
    group, seen = heads // key.shape[1], key.shape[2]
    mixed = torch.zeros(batch, heads, new, head, dtype=torch.float64)
    for b in range(batch):
        for h in range(heads):
            for n in range(new):
                until = seen - new + n + 1
                least = 0 if window is None else max(0, until - window)
                least = least if begins is None else max(least, int(begins[b, n]))
                keys = key[b, h // group, least:until].double()
                scores = keys @ query[b, h, n].double() / head**0.5
                values = value[b, h // group, least:until].double()
                mixed[b, h, n] = scores.softmax(0) @ values
    return mixed


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize(("new", "seen"), [(6, 6), (1, 1), (1, 6), (3, 6)])
def test_kernels_equal_the_formula(
    kernel: Any, kv_heads: int, new: int, seen: int
) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 4, new, 8)
    key, value = torch.randn(2, 2, kv_heads, seen, 8)
    mixed = kernel(query, key, value, 0.0)
    assert mixed.shape == query.shape
    expected = by_hand(query, key, value)
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=1e-6)


RESTRICTED = [
    (6, 6, 2, False),
    (6, 6, None, True),
    (1, 6, 3, False),
    (1, 6, None, True),
    (3, 6, 2, True),
    (140, 140, 5, False),
    (140, 140, 64, True),
]


@pytest.mark.parametrize("kv_heads", [2, 1])
@pytest.mark.parametrize("dropout_chosen", [False, True])
@pytest.mark.parametrize(("new", "seen", "window", "apart"), RESTRICTED)
def test_windows_and_documents_equal_the_formula(
    monkeypatch: Any,
    kv_heads: int,
    dropout_chosen: bool,
    new: int,
    seen: int,
    window: int | None,
    apart: bool,
) -> None:
    """Values and gradients, by both kernels, cut into blocks or not."""
    if dropout_chosen:
        monkeypatch.setattr(module, "fused_attention", explicit_attention)
    torch.manual_seed(0)
    query = torch.randn(2, 2, new, 4)
    key, value = torch.randn(2, 2, kv_heads, seen, 4)
    begins = None
    if apart:
        begins = document_begins(torch.randint(4, (2, seen)), 0, 0, None)[:, -new:]
    leaves = [x.requires_grad_() for x in (query, key, value)]
    sight = sight_of(window, begins, new, seen, torch.device("cpu"))
    mixed = attend(*leaves, 0.0, sight)
    expected = by_hand(*leaves, window, begins)
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=1e-6)
    weights = torch.randn(mixed.shape)
    found = torch.autograd.grad((mixed * weights).sum(), leaves)
    wanted = torch.autograd.grad((expected * weights).sum(), leaves)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_shared_keys_equal_repeated_keys(kv_heads: int) -> None:
    query = torch.randn(2, 4, 5, 8)
    key, value = torch.randn(2, 2, kv_heads, 5, 8)
    repeated = [x.repeat_interleave(4 // kv_heads, dim=1) for x in (key, value)]
    for kernel in KERNELS:
        torch.testing.assert_close(
            kernel(query, key, value, 0.0), kernel(query, *repeated, 0.0)
        )


def test_grouped_model_equals_one_with_repeated_weights(tiny: Any) -> None:
    shape = {"n_heads": 4, "dim": 16}
    grouped = build_model(tiny(model={**shape, "n_kv_heads": 2}), 9).eval()
    full = build_model(tiny(model=shape), 9).eval()
    weights = grouped.state_dict()
    for name, weight in weights.items():
        if name.endswith("qkv.weight"):
            query, key, value = weight.view(8, 4, 16).split([4, 2, 2])
            heads = [query, *(x.repeat_interleave(2, 0) for x in (key, value))]
            weights[name] = torch.cat(heads).view(-1, 16)
    full.load_state_dict(weights)
    ids = torch.randint(9, (2, 7))
    torch.testing.assert_close(grouped(ids), full(ids))


@pytest.mark.parametrize(
    ("dtype", "new", "seen", "dropout", "kernel"),
    [
        (torch.bfloat16, 8, 8, 0.0, "causal_attention"),
        (torch.bfloat16, 3, 8, 0.0, "explicit_attention"),
        (torch.bfloat16, LIMIT, LIMIT, 0.0, "causal_attention"),
        (torch.bfloat16, LIMIT + 1, LIMIT + 1, 0.0, "fused_attention"),
        (torch.bfloat16, LIMIT + 1, LIMIT + 1, 0.1, "explicit_attention"),
        (torch.float32, 8, 8, 0.0, "fused_attention"),
        (torch.float32, 8, 8, 0.1, "explicit_attention"),
    ],
)
def test_the_faster_kernel_is_chosen(
    monkeypatch: Any, dtype: Any, new: int, seen: int, dropout: float, kernel: str
) -> None:
    for name in ("causal_attention", "explicit_attention", "fused_attention"):
        monkeypatch.setattr(module, name, lambda *_, name=name: name)
    query = torch.zeros(1, 1, new, 2, dtype=dtype)
    key = torch.zeros(1, 1, seen, 2, dtype=dtype)
    eager = kernel.replace("causal", "explicit")
    assert attend(query, key, key, dropout) == eager
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert attend(query, key, key, dropout) == kernel


@pytest.mark.parametrize("kernel", KERNELS)
def test_dropout_falls_on_weights_and_keeps_the_mean(kernel: Any) -> None:
    torch.manual_seed(0)
    query, key = torch.zeros(2, 1, 1, 400, 2)
    value = torch.ones(1, 1, 400, 2)
    mixed = kernel(query, key, value, 0.5)[0, 0, :, 0]
    # Of n equal weights 1 / n, half are dropped and the others doubled.
    assert set(mixed[:2].tolist()) <= {0.0, 1.0, 2.0}
    assert abs(float(mixed[200:].mean()) - 1) < 0.02
    assert mixed[200:].std() > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_window_holds_no_scores_of_what_it_does_not_see(
    monkeypatch: Any, dtype: Any
) -> None:
    sizes = []
    for name in ("explicit_attention", "fused_attention"):
        original = getattr(module, name)

        def spy(*given: Any, original: Any = original) -> Any:
            sizes.append(given[0].shape[:3].numel() * given[1].shape[2])
            return original(*given)

        monkeypatch.setattr(module, name, spy)
    x = torch.randn(1, 2, 1024, 4, dtype=dtype)
    attend(x, x, x, 0.0, sight_of(64, None, 1024, 1024, x.device))
    assert sizes == [2 * 1024 * 128]


def test_kernels_agree_on_gradients_in_bfloat16() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(2, 2, 16, 8) for _ in range(3)]
    weights = torch.randn(2, 2, 16, 8)
    gradients = []
    for kernel, dtype in (
        (fused_attention, torch.float32),
        (fused_attention, torch.bfloat16),
        (explicit_attention, torch.bfloat16),
    ):
        leaves = [x.detach().to(dtype, copy=True).requires_grad_() for x in inputs]
        (kernel(*leaves, 0.0).float() * weights).sum().backward()
        gradients.append(torch.cat([x.grad.float().flatten() for x in leaves]))
    exact, fused, explicit = gradients
    for rounded in (fused, explicit):
        assert (rounded - exact).norm() / exact.norm() < 0.015


def test_normalised_queries_bound_the_scores(tiny: Any) -> None:
    model = build_model(tiny(model={"qk_norm": True, "norm_cls": "rms"}), 9).eval()
    attention = model.layers[0].attention
    attention.qkv.weight.data.mul_(1000)
    seen = []
    original = module.fused_attention

    def spy(query: Any, key: Any, *rest: Any) -> Any:
        seen.append((query, key))
        return original(query, key, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fused_attention", spy)
        model(torch.randint(9, (1, 5)))
    for heads in seen[0]:
        lengths = heads.norm(dim=-1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 8**0.5))
