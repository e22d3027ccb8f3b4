import pytest

from slangmod.commands.choices import Choices
from slangmod.commands.joining import (
    BY_ITSELF,
    agreed_choices,
    agreed_rows,
    joined,
    refuse_unshareable,
)
from slangmod.errors import SettingsError
from slangmod.parallel.launch import Launch
from slangmod.parallel.team import ALONE

KNOWN = {"auto", "ddp"}


@pytest.mark.parametrize(
    ("rows", "size", "fitting"), [(16, 3, "15 or 18"), (2, 4, "4"), (7, 2, "6 or 8")]
)
def test_rows_that_processes_cannot_share_are_refused(tiny, rows, size, fitting):
    settings = tiny(train={"batch_size": rows})
    with pytest.raises(SettingsError) as caught:
        refuse_unshareable(settings, size, KNOWN)
    assert caught.value.problems == (
        f"train.batch_size = {rows}: {size} processes cannot share it evenly; "
        f"{fitting} would fit, or another --nproc-per-node",
    )
    refuse_unshareable(settings, 1, KNOWN)
    refuse_unshareable(tiny(train={"batch_size": 4 * size}), size, KNOWN)


def test_each_stage_must_have_rows_for_all(tiny):
    stages = ({"epochs": 1}, {"epochs": 1, "changes": (("train.batch_size", 6),)})
    with pytest.raises(SettingsError, match=r"^stage\.2\.train\.batch_size = 6: 4 "):
        refuse_unshareable(tiny(stage=stages), 4, KNOWN)


def test_counts_of_tokens_are_not_to_be_had_from_parts(tiny):
    settings = tiny(model={"scale_grad_by_freq": True})
    refuse_unshareable(settings, 1, KNOWN)
    with pytest.raises(SettingsError, match="scale_grad_by_freq = true"):
        refuse_unshareable(settings, 2, KNOWN)


def test_a_strategy_that_is_not_there_is_refused(tiny):
    with pytest.raises(SettingsError, match="choose one of auto, ddp"):
        refuse_unshareable(tiny(parallel={"strategy": "fsdp"}), 2, KNOWN)


def test_outside_torchrun_nobody_is_met(tiny):
    with joined(None, tiny(train={"batch_size": 7})) as company:
        assert company is BY_ITSELF
    choices = Choices("cuda:1", 3, compiled=False, deterministic=False)
    assert agreed_choices(ALONE, choices) is choices
    assert (agreed_rows(ALONE, None), agreed_rows(ALONE, 8)) == (None, 8)


def test_nccl_is_refused_without_a_gpu(tiny):
    settings = tiny(data={"device": "cpu"}, parallel={"backend": "nccl"})
    refused = pytest.raises(SettingsError, match="is for GPUs, and this is cpu")
    with refused, joined(Launch(0, 2, 0, 2), settings):
        pass
