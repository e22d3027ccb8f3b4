import pytest

from slangmod.errors import UserError
from slangmod.parallel.crew import ALONE, crew_of, usable, without_place

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_JOB_ID": "12",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "4",
}


def test_who_is_started_by_hand_or_by_a_batch_script_is_alone():
    assert crew_of({}) is ALONE
    batch = {"SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}
    assert crew_of(batch) is ALONE


def test_torchrun_gives_place_and_share_of_the_cores():
    crew = crew_of(TORCHRUN)
    assert (crew.rank, crew.size, crew.leads) == (3, 8, False)
    assert crew.cores == max(1, usable() // 2)


def test_srun_gives_place_and_share_of_the_cores():
    crew = crew_of(SRUN)
    assert (crew.rank, crew.size, crew.cores) == (1, 4, None)
    assert crew_of({**SRUN, "SLURM_CPUS_PER_TASK": "1"}).cores == 1
    assert crew_of({**SRUN, "SLURM_STEP_NUM_TASKS": "2"}).size == 2
    assert crew_of({**SRUN, "SLURM_PROCID": "0"}).leads


def test_torchrun_within_srun_counts():
    assert crew_of({**SRUN, **TORCHRUN}).size == 8


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SLURM_PROCID": "4"}, "SLURM_PROCID = 4 of 4 tasks"),
        ({"SLURM_PROCID": ""}, "SLURM_PROCID is not set"),
        ({"SLURM_NTASKS": "many"}, "SLURM_NTASKS = 'many'"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, said):
    with pytest.raises(UserError, match=said):
        crew_of({**SRUN, **changed})


def test_commands_that_a_process_starts_have_no_place_of_their_own():
    environ = {**SRUN, **TORCHRUN, "HOME": "/h"}
    environ |= {"SLURM_CPUS_PER_TASK": "2", "CUDA_VISIBLE_DEVICES": "3"}
    left = without_place(environ)
    assert crew_of(left) is ALONE
    assert left == {
        "HOME": "/h",
        "SLURM_JOB_ID": "12",
        "SLURM_CPUS_PER_TASK": "2",
        "CUDA_VISIBLE_DEVICES": "3",
    }
