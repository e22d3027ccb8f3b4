import pytest

from slangmod.errors import UserError
from slangmod.parallel.launch import Launch, launch_of
from tests.parallel.ranks import environment_of


def test_a_process_that_torchrun_started_knows_its_place():
    told = environment_of(
        5, 8, 29500, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4, TORCHELASTIC_RESTART_COUNT=2
    )
    launch = launch_of(told | {"TORCHELASTIC_RUN_ID": "mine"})
    assert launch == Launch(5, 8, 1, 4, 2, "mine", "127.0.0.1", 29500, lasting=True)
    assert not launch.leads
    assert launch_of(environment_of(0, 2, 1)).leads


def test_without_torchrun_there_is_no_launch_whatever_others_set():
    assert launch_of({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}) is None


@pytest.mark.parametrize("word", ["", "two", "-1", "1.5", "²"])
def test_a_number_of_torchrun_that_is_none_is_told(word):
    with pytest.raises(UserError, match=r"WORLD_SIZE.*start slangmod with torchrun"):
        launch_of(environment_of(0, 2, 1, WORLD_SIZE=word))


@pytest.mark.parametrize("change", [{"RANK": 2}, {"LOCAL_RANK": 2}, {"WORLD_SIZE": 1}])
def test_a_place_that_cannot_be_is_told(change):
    with pytest.raises(UserError, match="no such process"):
        launch_of(environment_of(0, 2, 1, **change))
