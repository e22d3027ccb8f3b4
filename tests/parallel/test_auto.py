"""Which strategy processes take where none is named, and that all take the same."""

import threading

import pytest
import torch

from slangmod.commands import strategy
from slangmod.commands.strategy import agreed_strategy
from slangmod.parallel.strategy import Choice
from slangmod.parallel.team import ALONE
from slangmod.settings.sections import Settings
from tests.parallel.threads import together

CPU = torch.device("cpu")
VOCAB = 100


@pytest.fixture
def memory(monkeypatch):
    """Sets what is free, and what a rehearsal would find by rank."""

    def make(free, *found):
        rehearsed = iter(found)
        monkeypatch.setattr(strategy, "free_bytes", lambda _: free)
        monkeypatch.setattr(
            strategy,
            "strategy_for",
            lambda *_: Choice(next(rehearsed), "as was rehearsed"),
        )

    return make


def taken(settings, size=2, before=None):
    return together(
        size, lambda team: agreed_strategy(settings, VOCAB, CPU, team, before)
    )


def of(**changes):
    return Settings().replace(
        **{key.replace("__", "."): value for key, value in changes.items()}
    )


def test_one_process_takes_none():
    assert agreed_strategy(of(), VOCAB, CPU, ALONE) is None


@pytest.mark.parametrize("word", ["ddp", "fsdp"])
def test_what_is_named_is_taken(word):
    assert taken(of(parallel__strategy=word)) == [word, word]


def test_what_fsdp_would_divide_may_be_too_little_to_rehearse(memory):
    memory(1 << 40)
    assert taken(of()) == ["ddp", "ddp"]


def test_where_one_is_short_of_memory_all_take_fsdp(memory):
    memory(1 << 20, "ddp", "fsdp", "ddp")
    assert taken(of(), 3) == ["fsdp"] * 3


def test_who_is_short_of_memory_says_why(monkeypatch, caplog):
    monkeypatch.setattr(strategy, "neighbours_in", lambda _: 1)

    def choose(settings, vocab, device, devices, neighbours):
        short = threading.current_thread().name == "rank 1"
        return Choice("fsdp", "fsdp: too much") if short else Choice("ddp", "ddp: fits")

    monkeypatch.setattr(strategy, "choose", choose)
    caplog.set_level("INFO")

    def act(team):
        threading.current_thread().name = f"rank {team.rank}"
        return agreed_strategy(of(), VOCAB, CPU, team)

    assert together(2, act) == ["fsdp", "fsdp"]
    wanted = 'parallel.strategy = "auto" is fsdp: too much (as rank 1 has it)'
    assert {*caplog.messages} == {wanted}


def test_a_device_that_does_not_tell_is_left_to_the_rehearsal(memory):
    memory(None, "ddp", "ddp")
    assert taken(of()) == ["ddp", "ddp"]


@pytest.mark.parametrize(
    "changes", [{"train__optimizer": "bfgs"}, {"train__batch_size": "auto"}]
)
def test_what_fsdp_cannot_do_takes_ddp(memory, changes):
    memory(1 << 20)
    assert taken(of(**changes)) == ["ddp", "ddp"]


def test_a_run_keeps_what_it_took(memory):
    memory(1 << 40)
    assert taken(of(), before="fsdp") == ["fsdp", "fsdp"]
    assert taken(of(parallel__strategy="ddp"), before="fsdp") == ["ddp", "ddp"]
