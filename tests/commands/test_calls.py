"""From what was typed to calls: every problem is found before anything happens."""

import pytest

from slangmod.commands.arguments import parse
from slangmod.commands.calls import calls
from slangmod.errors import UserError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calls_of(line, environment=None):
    return calls(parse(line.split()), environment or {})


def problems_of(line, environment=None):
    with pytest.raises(UserError) as caught:
        calls_of(line, environment)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_each_action_gets_a_call_with_its_own_flags(here):
    first, second = calls_of("train evaluate --overwrite --seed 5 --name a")
    assert (first.action, second.action) == ("train", "evaluate")
    assert first.flags == {
        "continue": False,
        "overwrite": True,
        "allow-change": (),
    }
    assert second.flags == {"split": None}
    assert first.settings.seed == second.settings.seed == 5
    assert first.names == ("a",)


def test_words_and_all_names_are_handed_on(here):
    (call,) = calls_of("compare a b --name c --name d --format csv")
    assert call.words == ("a", "b")
    assert call.names == ("c", "d")
    assert call.flags == {
        "plot": None,
        "gnuplot": False,
        "by": None,
        "format": "csv",
        "json": False,
    }


def test_slangmod_toml_of_the_current_folder_is_read_unless_another_is_named(here):
    (here / "slangmod.toml").write_text("seed = 5")
    (here / "other.toml").write_text("")
    assert calls_of("train")[0].settings.seed == 5
    assert calls_of("train --toml other.toml")[0].settings.seed == 100
    assert (
        calls_of("demo")[0].settings.seed == 100
    )  # it needs nothing and minds nothing


def test_the_environment_is_read(here):
    environment = {"SLM_TRAIN__LEARNING_RATE": "3e-4", "HOME": "/"}
    assert calls_of("train", environment)[0].settings.train.learning_rate == 3e-4


PROBLEMS = [
    ("train --overwite", "--overwite: unknown flag; did you mean '--overwrite'?"),
    ("train --lr 3", "--lr: unknown flag; did you mean '--train.learning_rate'?"),
    ("train --seeed 3", "--seeed: unknown flag; did you mean '--seed'?"),
    ("train --learning-rate 3", "--learning-rate: unknown flag; "
     "did you mean '--train.learning_rate'?"),
    ("train --zzzzzz 3", "--zzzzzz: unknown flag"),
    ("train --train.learning_rat 3", "--train.learning_rat: unknown setting "
     "'train.learning_rat'; did you mean 'train.learning_rate'?"),
    ("train --TRAIN.learning_rate 3", "--TRAIN.learning_rate: unknown setting "
     "'TRAIN.learning_rate'; did you mean 'train.learning_rate'?"),
    ("train --train.batch_size", "--train.batch_size: needs a value: must be a whole "
     "number, at least 1"),
    ("train --progress", "--progress: needs a value: must be true or false"),
    ("train --toml", "--toml: needs a value"),
    ("generate --prompt", "--prompt: needs a value"),
    ("train --toml nope.toml", "nope.toml: no such file"),
    ("train --name a b", "'b': unknown action; see slangmod --help"),
    ("compare --name a/b --name c", '--name = "a/b": must be 1 to 64 letters, digits, '
     '".", "_" and "-", or "none"'),
    ("compare --name .. --name c", '--name = "..": is no name for a folder; '
     "choose another"),
    ("monitor --train.warmup 3", "--train.warmup: monitor only looks at runs; "
     "leave it out"),
    ("config check --seed 3", "--seed: config check reads only the files that it "
     "names; leave it out"),
    ("config schema --toml x", "--toml: config schema reads only the files that it "
     "names; leave it out"),
    ("train --toml a --toml b", "--toml: was given more than once; "
     "a file can name another as its base"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), PROBLEMS)
def test_what_is_wrong_is_said_with_a_way_out(here, line, problem):
    assert problem in problems_of(line)


def test_problems_of_arguments_and_settings_are_told_together(here):
    (here / "slangmod.toml").write_text("seeed = 5\n")
    line = "train nope --overwite --train.gamma 2 --plot x"
    assert problems_of(line, {"SLM_X": "1"}) == [
        "'nope': unknown action; see slangmod --help",
        "--plot: belongs to monitor and compare, not to train",
        "--overwite: unknown flag; did you mean '--overwrite'?",
        "slangmod.toml:1: unknown setting 'seeed'; did you mean 'seed'?",
        "SLM_X: unknown setting 'x'; `slangmod config example` lists all there are",
        "--train.gamma = 2: must be above 0 and below 1",
    ]


def test_actions_that_read_their_own_files_do_not_mind_others(here):
    (here / "slangmod.toml").write_text("not toml")
    (call,) = calls_of("config check a.toml", {"SLM_X": "1"})
    assert call.words == ("a.toml",)


def test_dashes_and_underscores_are_the_same_in_names(here):
    (call,) = calls_of("train --train.learning-rate 3 --log-level debug")
    assert call.settings.train.learning_rate == 3
    assert call.settings.log_level == "debug"


def test_flags_for_a_table_of_a_run_wait_for_its_settings(here):
    (call,) = calls_of("resume --stage.1.steps 9 --train.max_steps 3")
    assert call.on_top == (("stage.1.steps", "9"),)
    assert calls_of("resume --optimizer.rho 0.8")[0].on_top  # which adamw has not
    assert call.settings.train.max_steps == 3
    problem = "--stage.1.steps = 9: no such table; of [[stage]] there are none"
    assert problems_of("train --stage.1.steps 9") == [problem]
    (here / "c.toml").write_text("[[stage]]\nsteps = 5\n")
    (call,) = calls_of("resume --toml c.toml --stage.1.steps 9")
    assert call.on_top == ()
    assert call.settings.stage[0].steps == 9
