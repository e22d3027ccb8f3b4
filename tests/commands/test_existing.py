"""Which run an action works on, and with which settings."""

import pytest

from slangmod.commands import COMMANDS, RESUME_MAY_CHANGE
from slangmod.commands.arguments import parse
from slangmod.commands.calls import calls
from slangmod.commands.existing import open_existing
from slangmod.errors import DataError, SettingsError
from slangmod.settings import resolve
from slangmod.settings.changing import WITHOUT_EFFECT, changes_by_name
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


OTHERS = {
    "size": "small",
    "repeat": "2",
    "extra": '{note = "other"}',
    "train.init_from": "elsewhere",
    "model.zero_init": "true",
    "train.largest_batch": "true",
    "files.raw": "elsewhere",
    "files.suffix": ".txt",
    "files.column": "words",
    "files.min_doc_len": "7",
    "files.cleaners": '["quotes"]',
    "files.encoding": "latin1",
    "files.max_doc_bytes": "7000",
    "files.on_bad_file": "skip",
    "files.tokenizer": "t.json",
    "sweep.n_trials": "7",
    "sweep.sampler": "random",
    "sweep.n_startup_trials": "3",
    "sweep.seed": "7",
    "sweep.direction": "maximize",
    "sweep.metric": "validation.accuracy",
    "sweep.pruner": "median",
    "sweep.workers": "2",
    "sweep.timeout": "2h",
    "sweep.storage": "sqlite",
    "sweep.space": '{"train.gamma" = "uniform(0.5, 0.9)"}',
}
"""Another value of what has no effect on a run; its place is told by other tests."""


@pytest.mark.parametrize(
    ("action", "name"),
    [
        *(("resume", name) for name in OTHERS),
        # Where everything is described, a size stands for all that it sets.
        *(("train --continue", name) for name in OTHERS if name != "size"),
    ],
)
def test_what_has_no_effect_on_a_run_is_refused_by_no_command(
    begin, here, action, name
):
    begin("first", ("extra.note", "hello"))
    head, _, last = f"settings.{name}".rpartition(".")
    value = OTHERS[name]
    plain = value[0] in "{[" or value in ("true",) or value.isdecimal()
    quoted = value if plain else f'"{value}"'
    table = f"[{head.removeprefix('settings.')}]\n" if "." in head else ""
    (here / "c.toml").write_text(f"{table}{last} = {quoted}\n")
    _, settings = opened(f"{action} --name first --toml c.toml")
    assert settings.name == "first"
    assert settings.extra["note"] == ("other" if name == "extra" else "hello")
    if name == "files.tokenizer":
        assert settings.files.tokenizer == "t.json"


def test_all_that_has_no_effect_on_a_run_is_tried():
    named = {name for name, how in changes_by_name().items() if how == WITHOUT_EFFECT}
    assert {*OTHERS, "workdir", "name", "base"} == named


def test_a_run_that_was_moved_goes_on_where_it_is_now(begin, here, monkeypatch):
    begin("first", ("files.raw", "raw"), ("train.gamma", "0.5"))
    (here / "c.toml").write_text('files.raw = "raw"\ntrain.gamma = 0.5\n')
    moved = here.with_name(f"{here.name}-moved")
    here.rename(moved)
    monkeypatch.chdir(moved)
    _, settings = opened("train --continue --name first --toml c.toml")
    assert settings.workdir == str(moved)


def test_continue_may_change_what_resume_may():
    assert COMMANDS["train"].changeable == COMMANDS["resume"].changeable


LYING_THERE = """\
[plugins]
allow = ["mine"]

[track]
uri = "https://example.org"
experiment = "theirs"
"""


@pytest.mark.parametrize("action", ["chat", "generate", "evaluate", "resume", "replay"])
def test_a_file_that_nobody_named_lets_nothing_be_imported(begin, here, action):
    begin("first", ("train.optimizer", "mine:Fast"), ("plugins.allow", '["mine"]'))
    (here / "slangmod.toml").write_text(LYING_THERE)
    with pytest.raises(SettingsError, match=r"if you trust it, add --plugins\.allow"):
        opened(action)
    named = f"{action} --plugins.allow ['mine']"
    assert opened(named)[1].plugins.allow == ("mine",)


def test_a_file_that_is_named_says_what_may_be_imported(begin, here):
    begin("first", ("train.optimizer", "mine:Fast"), ("plugins.allow", '["mine"]'))
    (here / "slangmod.toml").write_text(LYING_THERE)
    _, settings = opened("resume --toml slangmod.toml")
    assert settings.plugins.allow == ("mine",)
    assert settings.track.experiment == "theirs"


def test_a_file_that_nobody_named_names_no_tracker(begin, here, caplog):
    begin("first")
    (here / "slangmod.toml").write_text(LYING_THERE)
    _, settings = opened("resume --track.every 7")
    assert settings.track.uri is None
    assert settings.track.every == 7
    assert "slangmod.toml:5: track.uri" in caplog.text
    assert "is not heeded" in caplog.text
    caplog.clear()
    opened("generate")
    assert "is not heeded" not in caplog.text


@pytest.mark.parametrize("line", ["train", "train evaluate"])
def test_a_new_run_heeds_the_file_of_its_folder(here, line):
    (here / "slangmod.toml").write_text(LYING_THERE)
    found = calls(parse(line.split()), {})
    assert {one.settings.track.experiment for one in found} == {"theirs"}


def test_what_a_run_allows_does_not_count_for_its_model_either(begin):
    begin("first", ("plugins.allow", '["mine"]'))
    assert opened("chat")[1].plugins.allow == ()


def test_what_a_run_allows_does_not_count_in_python_either(begin, here):
    import slangmod

    begin("first", ("plugins.allow", '["mine"]'))
    folder = here / "runs/first"
    assert slangmod.open_run(folder).settings.plugins.allow == ()
    assert slangmod.open_run(folder, ["mine"]).settings.plugins.allow == ("mine",)
