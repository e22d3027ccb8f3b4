import json

import pytest
import torch

from slangmod.parallel.group import backend_for, open_team
from slangmod.parallel.launch import launch_of
from slangmod.parallel.team import ALONE

CPU = torch.device("cpu")
TEXT = "zwei\nZeilen, ein \udcff aus einem Dateinamen"


def agreed(team):
    """What each method of a team gives."""
    numbers = torch.arange(3, dtype=torch.float64) + team.rank
    summed = team.sum(numbers)
    assert summed is numbers
    return {
        "leads": team.leads,
        "sum": summed.tolist(),
        "any": [team.any(team.rank == 0), team.any(team.rank == team.size - 1)],
        "none": team.any(False),
        "texts": team.texts(TEXT * team.rank),
        "text": team.text(TEXT if team.leads else "what nobody asked for"),
        "nothing": team.text(""),
    }


def show_agreed(folder):
    """What a process of several agrees on with the others, written down."""
    import os
    from pathlib import Path

    launch = launch_of(os.environ)
    with open_team(launch, CPU, "auto", 60.0) as team:
        team.meet()
        found = agreed(team)
    assert not torch.distributed.is_initialized()
    Path(folder, f"{launch.rank}.json").write_text(json.dumps(found))


def test_a_team_of_one_agrees_with_itself():
    with open_team(None, CPU, "auto", 60.0) as team:
        assert team is ALONE
    assert agreed(ALONE) == {
        "leads": True,
        "sum": [0.0, 1.0, 2.0],
        "any": [True, True],
        "none": False,
        "texts": [""],
        "text": TEXT,
        "nothing": "",
    }


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_agree(ranks, tmp_path, size):
    name = f"{__name__}:show_agreed"
    ended = ranks.call(size, tmp_path, name, str(tmp_path))
    assert ended.codes == [0] * size, ended.errors
    for rank in range(size):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == {
            "leads": rank == 0,
            "sum": [float(size * place + sum(range(size))) for place in range(3)],
            "any": [True, True],
            "none": False,
            "texts": [TEXT * place for place in range(size)],
            "text": TEXT,
            "nothing": "",
        }


def wait_for_one_that_never_comes():
    import os

    launch = launch_of(os.environ)
    with open_team(launch, CPU, "gloo", 2.0) as team:
        if team.leads:
            team.meet()
        else:
            os._exit(3)


@pytest.mark.slow
def test_who_waits_for_one_that_is_gone_hears_of_it(ranks, tmp_path):
    ended = ranks.call(2, tmp_path, f"{__name__}:wait_for_one_that_never_comes")
    assert ended.codes == [1, 3], ended.errors
    assert "RuntimeError" in ended.told[0] or "DistBackendError" in ended.told[0]


def test_gpus_are_joined_by_nccl_and_all_else_by_gloo():
    assert backend_for(torch.device("cuda:1")) == "nccl"
    assert backend_for(CPU) == "gloo"
    assert backend_for(torch.device("cuda:1"), "gloo") == "gloo"
