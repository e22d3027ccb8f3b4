"""The settings of a run that exists: its own, save for the few that may change."""

import pytest

from slangmod.settings import load_run, load_run_settings, resolve
from slangmod.settings.run import may_change
from slangmod.settings.show import run_config, show

CHANGEABLE = ("chat", "log_level", "train.max_epochs")


@pytest.fixture
def config(here):
    """config.toml of a run that was trained from flags."""
    path = here / "runs" / "first" / "config.toml"
    path.parent.mkdir(parents=True)
    flags = [("train.learning_rate", "0.5"), ("size", "tiny"), ("extra.note", "hello")]
    path.write_text(run_config(resolve(None, flags), "first"))
    return path


def test_a_run_takes_everything_from_its_own_config(config):
    settings = load_run_settings(config, resolve())
    assert settings.train.learning_rate == 0.5
    assert settings.model.dim == 128
    assert settings.name == "first"


def test_what_may_change_can_be_given_with_its_origin(config, write):
    write({"c.toml": "train.max_epochs = 99\n[chat]\nk = 3\n"})
    run = load_run(config, resolve("c.toml", [("chat.p", "0.5")]), CHANGEABLE)
    assert run.settings.train.max_epochs == 99
    assert (run.settings.chat.k, run.settings.chat.p) == (3, 0.5)
    assert run.settings.train.learning_rate == 0.5
    assert run.origin(("chat", "k")) == "c.toml:3"


def test_values_keep_the_origins_that_they_had_when_the_run_began(config):
    before = config.read_text()
    run = load_run(config, resolve(), CHANGEABLE)
    assert show(run) == before
    assert "learning_rate = 0.5     # --train.learning_rate, was 0.002 in" in before
    changed = load_run(config, resolve(None, [("log_level", "debug")]), CHANGEABLE)
    config.write_text(show(changed))
    again = load_run(config, resolve(None, [("log_level", "error")]), CHANGEABLE)
    assert again.origin(("log_level",)) == '--log_level, was "debug" in --log_level'
    assert again.origin(("chat", "k")) == "default"


def test_a_line_that_somebody_changed_is_its_own_origin(config):
    text = config.read_text().replace("gamma = 0.95", "gamma = 0.5")
    text = text.replace("warmup = 100", "warmup = 0x07")
    config.write_text(text)
    run = load_run(config, resolve())
    for name in ("gamma", "warmup"):
        line = text[: text.index(f"\n{name} = ")].count("\n") + 2
        assert run.origin(("train", name)) == f"{config}:{line}"


@pytest.mark.parametrize(
    "flags",
    [
        [("train.learning_rate", "0.5")],
        [("size", "tiny")],
        [("model.dim", "128")],
        [("extra.note", "hello")],
        [("name", "first")],
        [("workdir", ".")],
        [("files.raw", ".")],
        [("base", "preset:tiny")],
        [("train.patience", "none")],
    ],
)
def test_what_the_run_has_anyway_may_be_given(config, flags):
    settings = load_run_settings(config, resolve(None, flags), CHANGEABLE)
    assert settings == load_run_settings(config, resolve(), CHANGEABLE)


def test_everything_else_that_differs_is_listed(config, write, problems_of):
    write({"c.toml": "seed = 5\ntrain.batch_size = 16\ndata.jitter = 7\n"})
    given = resolve(
        "c.toml", [("train.gamma", "0.5"), ("extra.note", "x")], {"SLM_SIZE": "small"}
    )
    ending = "; leave that as it is, or train another run"
    assert problems_of(load_run_settings, config, given, CHANGEABLE) == (
        f"c.toml:1: seed = 5: the run has 100{ending}",
        f"c.toml:3: data.jitter = 7: the run has 32{ending}",
        f'SLM_SIZE = "small": the run has "tiny"{ending}',
        f"--train.gamma = 0.5: the run has 0.95{ending}",
        f'--extra.note = "x": the run has "hello"{ending}',
    )


def test_a_complete_description_includes_defaults_and_presets(config, problems_of):
    flags = [("train.learning_rate", "0.5"), ("extra.note", "hello")]
    given = resolve(None, [*flags, ("size", "tiny"), ("chat.k", "3")])
    settings = load_run_settings(config, given, CHANGEABLE, complete=True)
    assert settings.chat.k == 3
    changed = load_run(config, resolve(None, [("chat.k", "3")]), CHANGEABLE).settings
    assert settings == changed

    given = resolve(None, [("size", "tiny"), ("train.gamma", "0.5")])
    ending = "; leave that as it is, or train another run"

    def load():
        load_run_settings(config, given, CHANGEABLE, complete=True)

    assert problems_of(load) == (
        f"preset:tiny: train.learning_rate = 0.002: the run has 0.5{ending}",
        f"--train.gamma = 0.5: the run has 0.95{ending}",
        f'default: extra.note = "none": the run has "hello"{ending}',
    )


def test_a_run_can_be_moved(config, here):
    moved = here / "other" / "runs" / "second" / "config.toml"
    moved.parent.mkdir(parents=True)
    config.rename(moved)
    given = resolve(None, [("workdir", "other"), ("name", "second")])
    settings = load_run_settings(moved, given, (), "other")
    assert settings.name == "second"
    assert settings.workdir == str(here / "other")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (("chat", "k"), True),
        (("train", "max_epochs"), True),
        (("train", "max_epochs_2"), False),
        (("chatter",), False),
        (("train", "gamma"), False),
        (("log_level",), True),
    ],
)
def test_sections_and_single_settings_may_change(path, answer):
    assert may_change(path, CHANGEABLE) is answer
