"""Which inputs of a run that goes on have changed."""

import pytest

from slangmod.commands.changes import (
    Change,
    choices_after,
    differing,
    keep_changes,
    leaves,
    read_changes,
    way_out,
)
from slangmod.commands.choices import Choices
from slangmod.runs.directory import RunDir
from slangmod.settings import load_settings


def staged(gamma: float):
    return load_settings(
        None,
        {"stage": [{"name": "a", "epochs": 1}, {"epochs": 2, "train.gamma": gamma}]},
    )


def test_what_a_stage_changes_is_compared_setting_by_setting():
    before = staged(0.5).model_dump(mode="json")
    assert leaves(before)["stage.2.train.gamma"] == 0.5
    assert differing(before, staged(0.7)) == {"stage.2.train.gamma": (0.5, 0.7)}
    gone = {
        "stage.1.name": ("a", None),
        "stage.2.train.gamma": (0.5, None),
        "stage.1.epochs": (1, None),
        "stage.2.epochs": (2, None),
    }
    assert gone.items() <= differing(before, load_settings()).items()


def test_a_setting_that_there_was_not_yet_was_as_by_default():
    before = load_settings().model_dump(mode="json")
    del before["guard"], before["train"]["z_loss"]
    assert differing(before, load_settings()) == {}
    assert differing(before, load_settings(None, {"train.z_loss": 0.1})) == {
        "train.z_loss": (0.0, 0.1)
    }


def test_the_way_out_is_the_flag_or_the_reason():
    assert way_out(("stage", "1", "train", "gamma")).startswith(
        "--allow-change stage.1.train.gamma goes on with it"
    )
    assert way_out(("model", "dim")).startswith("it says what weights are for; leave")


def test_the_last_change_of_each_setting_is_kept_with_its_step(tmp_path, caplog):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    keep_changes(run, [], 3)
    assert not run.changes.exists()
    keep_changes(run, [Change("a", 1, 2), Change("b", "x", "y")], 5)
    keep_changes(run, [Change("a", 1, 2)], 7)
    assert read_changes(run)["a"] == Change("a", 1, 2, 5)
    keep_changes(run, [Change("a", 1, 3)], 9)
    assert read_changes(run) == {
        "a": Change("a", 1, 3, 9),
        "b": Change("b", "x", "y", 5),
    }
    assert [record.getMessage() for record in caplog.records] == [
        "from step 5 on, a is 2; it was 1 (--allow-change)",
        'from step 5 on, b is "y"; it was "x" (--allow-change)',
        "from step 9 on, a is 3; it was 1 (--allow-change)",
    ]


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("data.device", {"data.device": "cpu"}, Choices("cpu", 4, True, True)),
        ("threads", {"threads": 2}, Choices("cuda", 2, True, False)),
        ("deterministic", {"deterministic": True}, Choices("cuda", 4, True, True)),
        ("model.compile", {"model.compile": False}, Choices("cuda", 4, False, False)),
        ("train.gamma", {"train.gamma": 0.5}, Choices("cuda", 4, True, False)),
    ],
)
def test_what_was_chosen_at_the_start_follows_what_was_permitted(key, given, expected):
    choices = Choices("cuda", 4, compiled=True, deterministic=False)
    changes = [Change(key, None, None)]
    assert choices_after(choices, load_settings(None, given), changes) == expected
