import os
from collections.abc import Iterator

import pytest
import torch

from slangmod.errors import SettingsError
from slangmod.training.device import choose_device, reproducible


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_alone_the_best_device_is_taken_unless_one_is_named(two_gpus):
    assert choose_device(None) == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wanted", [None, "cuda"])
def test_each_process_of_a_machine_takes_a_gpu(two_gpus, wanted):
    assert [choose_device(wanted, seat) for seat in (0, 1)] == [
        torch.device("cuda:0"),
        torch.device("cuda:1"),
    ]
    assert choose_device("cpu", 1) == torch.device("cpu")


def test_more_processes_than_gpus_are_refused(two_gpus):
    with pytest.raises(SettingsError, match="process 3 of this machine has no GPU"):
        choose_device(None, 2)


def test_a_gpu_for_all_is_refused(two_gpus):
    assert choose_device("cuda:1", 1) == torch.device("cuda:1")
    with pytest.raises(SettingsError, match="take a GPU each"):
        choose_device("cuda:1", 0)


BEFORE = ("default", "warn", "error")
"""What a program that trains in Python may have asked torch for."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    mode, threads = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)
    torch.set_num_threads(threads)


def without_rule() -> None:
    """What has no deterministic algorithm, on any device."""
    torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))


def test_what_is_not_deterministic_is_refused_where_bits_count() -> None:
    with reproducible(True, 1):
        assert torch.get_deterministic_debug_mode() == 2
        with pytest.raises(RuntimeError, match="deterministic"):
            without_rule()
    without_rule()
    with reproducible(False, 1):
        assert not torch.are_deterministic_algorithms_enabled()
        without_rule()


def test_fresh_memory_is_not_filled_for_it() -> None:
    with reproducible(True, 1):
        assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("mode", BEFORE)
def test_after_it_torch_is_as_it_was(mode: str, enabled: bool) -> None:
    torch.set_deterministic_debug_mode(mode)
    torch.set_num_threads(2)

    def now() -> tuple[object, ...]:
        filled = torch.utils.deterministic.fill_uninitialized_memory
        return torch.get_deterministic_debug_mode(), filled, torch.get_num_threads()

    before = now()
    with pytest.raises(KeyboardInterrupt), reproducible(enabled, 1):
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt
    assert now() == before


def test_cublas_is_told_once_and_a_value_of_yours_stays(monkeypatch) -> None:
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.setenv(name, ":16:8")
    with reproducible(True, 1):
        assert os.environ[name] == ":16:8"
    monkeypatch.delenv(name)
    with reproducible(False, 1):
        assert name not in os.environ
    with reproducible(True, 1):
        assert os.environ[name] == ":4096:8"
    monkeypatch.setenv(name, "")  # so that it is gone after the test


def test_a_compiler_that_is_loaded_is_deterministic_too(monkeypatch) -> None:
    from torch._inductor import config

    before = config.deterministic
    with reproducible(True, 1):
        assert config.deterministic
    assert config.deterministic == before
