"""What a bad step leaves in the folder of its run."""

from types import SimpleNamespace

import torch

from slangmod.commands.bad_steps import BadSteps
from slangmod.files import REPLACED
from slangmod.reading import read_json
from slangmod.runs.directory import RunDir
from slangmod.training.events import BadStep
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal

ROWS = SimpleNamespace(
    batch=lambda _: SimpleNamespace(inputs=torch.zeros(1), targets=torch.zeros(1)),
    places=lambda _: ([0], [0], None),
)
BAD = BadStep(7, 1, 6, (1,), (float("nan"),), 1.0, 1e-3, 1, 1, 3)


def test_it_outlives_a_loss_of_power_and_names_a_checkpoint_that_is_being_replaced(
    tmp_path,
):
    root = tmp_path.resolve()
    run = RunDir.of(root, "first")
    (run.checkpoints / f"{REPLACED}step-000000005").mkdir(parents=True)
    journal = Journal(root)
    with installed(Disk(root, after=journal.note)):
        BadSteps(run, ROWS, 1)(BAD)
    path = run.bad_steps / "step-000000007.json"
    assert read_json(path)["checkpoint"] == "step-000000005"
    for tree in journal.crashes():
        assert tree[str(path.relative_to(root))] == path.read_bytes()
