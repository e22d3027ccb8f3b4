import pytest
import torch

from slangmod.errors import SettingsError
from slangmod.training.device import choose_device


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
