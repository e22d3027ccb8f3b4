import tomllib

import pytest

from slangmod import api
from slangmod.cli import main
from slangmod.commands import train
from slangmod.commands.call import Call
from slangmod.commands.repeating import repetitions
from slangmod.errors import SettingsError, UserError
from slangmod.runs.directory import RunDir
from slangmod.settings.resolved import Resolved
from slangmod.settings.show import run_config


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Calls of training that would have been made, with folders as they leave them."""
    monkeypatch.chdir(tmp_path)
    calls = []

    def train_run(resolved, *, overwrite=False, company=None):
        settings = resolved.settings
        run = RunDir.of(settings.workdir, settings.name)
        (run.checkpoints / "step-000000000").mkdir(parents=True, exist_ok=overwrite)
        run.config.write_text(run_config(resolved, settings.name))
        calls.append((settings.name, settings.seed))

    monkeypatch.setattr(train, "train_run", train_run)
    return calls


def call_of(tiny, **change):
    resolved = Resolved.of(tiny(**change))
    return Call(resolved.settings, resolved, flags={}, action="train")


def test_runs_are_called_by_number_and_differ_in_their_seeds(begun, tmp_path):
    assert main(["train", "--name", "first", "--repeat", "3", "--seed", "7"]) == 0
    assert begun == [("first-1", 7), ("first-2", 8), ("first-3", 9)]
    with RunDir.of(tmp_path, "first-2").config.open("rb") as stream:
        config = tomllib.load(stream)
    assert (config["name"], config["seed"], config["repeat"]) == ("first-2", 8, 1)


def test_one_run_is_called_as_it_was_asked_for(begun):
    assert main(["train", "--name", "first", "--repeat", "1"]) == 0
    assert begun == [("first", 100)]


def test_nothing_is_trained_if_one_of_them_is_there(begun, tmp_path, capsys):
    (RunDir.of(tmp_path, "first-3").checkpoints / "step-000000000").mkdir(parents=True)
    assert main(["train", "--name", "first", "--repeat", "3"]) == 2
    assert begun == []
    error = capsys.readouterr().err
    assert error.startswith("slangmod: error: first-3: trained already")
    assert main(["train", "--name", "first", "--repeat", "3", "--overwrite"]) == 0
    assert [name for name, _ in begun] == ["first-1", "first-2", "first-3"]


def test_continue_resumes_those_that_are_there_and_trains_the_others(
    begun, monkeypatch
):
    resumed = []
    monkeypatch.setattr(
        train.resume,
        "carry_on_with",
        lambda call, _: resumed.append((call.settings.name, call.settings.seed)),
    )
    assert main(["train", "--name", "first", "--repeat", "2"]) == 0
    assert main(["train", "--name", "first", "--repeat", "3", "--continue"]) == 0
    assert resumed == [("first-1", 100), ("first-2", 101)]
    assert begun[2:] == [("first-3", 102)]


def test_without_a_name_all_share_one_by_date_and_time(tiny, tmp_path):
    call = call_of(tiny, repeat=2, workdir=str(tmp_path))
    one, two = (one.settings.name for one in repetitions(call))
    assert one.removesuffix("-1") == two.removesuffix("-2")


def test_a_name_that_gets_too_long_is_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="name"):
        repetitions(call_of(tiny, repeat=2, name="x" * 64, workdir=str(tmp_path)))


def test_from_python_one_run_is_trained_at_a_time(tiny):
    with pytest.raises(UserError, match=r"repeat = 2: .*for each seed"):
        api.train(tiny(repeat=2))
