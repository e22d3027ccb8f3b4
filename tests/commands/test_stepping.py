"""Who computes products of float32: chosen once, kept with the run."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slangmod.commands import stepping
from slangmod.commands.choices import Choices, choices_of
from slangmod.commands.stepping import (
    choose_step,
    chosen,
    faster_by_onednn,
    step_again,
    uses_onednn,
)
from slangmod.data.dataset import Batch
from slangmod.model import build_model
from slangmod.parallel.team import ALONE
from slangmod.training.wrapping import UNWRAPPED

onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN"
)


def session(tiny: Any, precision: str = "float32", device: str = "cpu") -> Any:
    settings = tiny(data={"precision": precision})
    ids = torch.zeros(2, 4, dtype=torch.int64)
    leg = SimpleNamespace(length=SimpleNamespace(batches=10**9), tokens_per_batch=8)
    return SimpleNamespace(
        settings=settings,
        stage=settings,
        legs=(leg,),
        device=torch.device(device),
        state=SimpleNamespace(model=build_model(settings, 9)),
        team=ALONE,
        wrapping=UNWRAPPED,
        train=SimpleNamespace(first_batch=0, batch=lambda _: Batch(ids, ids)),
        objective=lambda *_: torch.zeros((), requires_grad=True),
    )


@onednn
@pytest.mark.parametrize(
    ("precision", "device", "name", "faster"),
    [
        ("float32", "cpu", "AMD EPYC 9B45", True),
        ("float32", "cpu", "Intel(R) Xeon(R)", False),
        ("bfloat16", "cpu", "AMD EPYC 9B45", False),
        ("float32", "meta", "AMD EPYC 9B45", False),
    ],
)
def test_products_are_left_to_onednn_only_where_that_is_faster(
    tiny: Any, monkeypatch, precision: str, device: str, name: str, faster: bool
) -> None:
    monkeypatch.setattr(stepping, "cpu_name", lambda: name)
    assert faster_by_onednn(session(tiny, precision, device)) == faster


@onednn
@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_compiled_computes_them_so_and_what_is_not_as_ever(
    tiny: Any, monkeypatch, wanted: bool
) -> None:
    monkeypatch.setattr(stepping, "cpu_name", lambda: "AMD EPYC")
    monkeypatch.setattr(torch, "compile", lambda objective, **_: objective)
    new = session(tiny)
    assert choose_step(new, wanted)[1] == wanted
    assert uses_onednn(new) == wanted


@onednn
def test_a_run_that_goes_on_uses_what_it_began_with(tiny: Any) -> None:
    resumed = session(tiny)
    for onednn in (True, False):
        choices = Choices("cpu", 1, False, deterministic=True, onednn=onednn)
        assert step_again(resumed, choices) is resumed.objective
        assert uses_onednn(resumed) == onednn
        assert ("float32_products" in chosen(choices)) == onednn


def test_a_run_from_before_there_was_a_choice_goes_on_without() -> None:
    choices = asdict(Choices("cpu", 1, compiled=True, deterministic=True))
    del choices["onednn"]
    assert not choices_of({"choices": choices}).onednn
