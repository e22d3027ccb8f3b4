"""Which run an action works on, and with which settings."""

import pytest

from slangmod.commands import COMMANDS, RESUME_MAY_CHANGE
from slangmod.commands.arguments import parse
from slangmod.commands.calls import calls
from slangmod.commands.existing import open_existing
from slangmod.errors import DataError, SettingsError
from slangmod.settings import resolve
from slangmod.settings.show import run_config


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def begin(here):
    """Begins a run: its folder with its config."""

    def make(name, *flags):
        config = here / "runs" / name / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(run_config(resolve(None, flags), name))

    return make


def opened(line):
    (call,) = calls(parse(line.split()), {})
    return open_existing(call)


def test_the_named_run_is_opened_with_its_own_settings(begin):
    begin("first", ("train.gamma", "0.5"))
    begin("second")
    run, settings = opened("chat --name first")
    assert run.name == settings.name == "first"
    assert settings.train.gamma == 0.5


def test_without_a_name_it_is_the_newest_and_that_is_said(begin, caplog):
    begin("second")
    begin("first")
    with caplog.at_level("INFO", "slangmod"):
        assert opened("chat")[0].name == "first"
    assert "first" in caplog.text


@pytest.mark.parametrize(
    ("runs", "line", "hint"),
    [
        (("first", "other"), "chat --name frist", "did you mean 'first'?"),
        (("first", "other"), "chat --name zzz", "the runs are "),
        ((), "chat --name zzz", "there is none yet"),
    ],
)
def test_a_run_that_is_not_there_is_refused(here, begin, runs, line, hint):
    for name in runs:
        begin(name)
    with pytest.raises(DataError, match="there is no such run") as caught:
        opened(line)
    assert hint in str(caught.value)


@pytest.mark.parametrize("action", ["chat", "generate", "evaluate", "resume"])
def test_other_settings_than_the_runs_are_refused(begin, here, action):
    begin("first")
    (here / "c.toml").write_text("\n[data]\njitter = 7\n")
    with pytest.raises(SettingsError) as caught:
        opened(f"{action} --name first --train.batch_size 3 --toml c.toml")
    reason = "; the run's place in its data is counted by it" * (action == "resume")
    ending = f"{reason}; leave that as it is, or train another run"
    assert caught.value.problems == (
        f"c.toml:3: data.jitter = 7: the run has 32{ending}",
        f"--train.batch_size = 3: the run has 64{ending}",
    )


@pytest.mark.parametrize("name", RESUME_MAY_CHANGE)
def test_resume_takes_what_may_change(begin, name):
    values = {
        "log_level": "debug",
        "progress": "false",
        "train.max_time": "2h",
        "train.convergence_norm": "update",
        "checkpoint": "7",
        "parallel": "7m",
        "chat": "7",
        "plugins": '["mine"]',
    }
    of_section = {
        "checkpoint": "checkpoint.every",
        "guard": "guard.max_skips",
        "parallel": "parallel.timeout",
        "chat": "chat.width",
        "plot": "plot.plot_frequency",
        "track": "track.every",
        "samples": "samples.every",
        "plugins": "plugins.allow",
    }
    flag = of_section.get(name, name)
    begin("first")
    _, settings = opened(f"resume --{flag} {values.get(name, '7')}")
    assert settings != opened("resume")[1]


@pytest.mark.parametrize("action", ["resume", "evaluate", "generate", "chat"])
def test_what_a_run_allows_to_be_imported_is_not_taken_on_its_word(begin, action):
    named = ("model.feedforward.activation", '"mine.gates:Soft"')
    begin("first", named, ("plugins.allow", '["mine"]'))
    with pytest.raises(SettingsError, match=r"if you trust it, add --plugins\.allow"):
        opened(action)
    _, settings = opened(f'{action} --plugins.allow ["mine.gates"]')
    assert settings.plugins.allow == ("mine.gates",)


def test_chat_settings_may_change_wherever_text_is_written(begin):
    begin("first")
    for action in ("chat", "generate"):
        assert opened(f"{action} --chat.k 7")[1].chat.k == 7


def test_continue_describes_a_whole_run(begin):
    begin("first", ("train.max_steps", "3"), ("train.gamma", "0.5"))
    assert opened("resume")[1].train.max_steps == 3
    _, settings = opened("train --continue --name first --train.gamma 0.5")
    assert settings.train.max_steps is None
    with pytest.raises(SettingsError, match=r"default: train\.gamma = 0\.95: the run"):
        opened("train --continue --name first")


def test_continue_may_change_what_resume_may():
    assert COMMANDS["train"].changeable == COMMANDS["resume"].changeable
