"""What is suggested for names that nobody knows."""

# ruff: noqa: E501  (one case per line, however long: tables)

import pytest

from slangmod.settings import load_settings
from slangmod.settings.catalog import catalog
from slangmod.settings.derived import DERIVED
from slangmod.settings.suggest import ELSEWHERE, settings_near

NEAR = [
    ("train.learning_rat", ["train.learning_rate"]),
    ("train.learningrate", ["train.learning_rate"]),
    ("train.Learning_Rate", ["train.learning_rate"]),
    ("model.learning_rate", ["train.learning_rate"]),
    ("learning_rate", ["train.learning_rate"]),
    ("work_dir", ["workdir"]),
    ("files.work_dir", ["workdir"]),
    ("train.seed", ["seed", "sweep.seed"]),
    ("train.weight_decay", ["optimizer.weight_decay"]),
    ("train.dropout", ["tokens.dropout", "model.dropout"]),
    ("model.flavor", ["model.feedforward.flavor"]),
    ("model.feed_forward.flavor", ["model.feedforward.flavor"]),
    ("train.lr", ["train.learning_rate"]),
    ("train.epochs", ["train.max_epochs"]),
    ("data.stride", ["data.overlap"]),
    ("train.zzzz", []),
]


@pytest.mark.parametrize(("name", "near"), NEAR)
def test_the_setting_that_was_meant_is_found(name, near):
    assert settings_near(name) == near


TABLES = [
    ("[trian]\nx = 1", "unknown section 'trian'; did you mean 'train'?"),
    ("[feedforward]\nx = 1", "unknown section 'feedforward'; did you mean 'model.feedforward'?"),
    ("[model.feed_forward]\nx = 1", "unknown section 'model.feed_forward'; did you mean 'model.feedforward'?"),
    ("[etxra]\nx = 1", "unknown section 'etxra'; did you mean 'extra'?"),
    ("[bogus]", "unknown section 'bogus'; `slangmod config example` lists all there are"),
    ("[bogus]\n[bogus.deeper]\nx = 1", "unknown section 'bogus'; `slangmod config example` lists all there are"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), TABLES)
def test_an_unknown_section_is_one_problem(write, problems_of, content, problem):
    write({"c.toml": content})
    assert problems_of(load_settings, "c.toml") == (f"c.toml:1: {problem}",)


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_value_cannot_be_set(problems_of, name):
    (problem,) = problems_of(load_settings, None, {name: 3})
    assert problem.startswith(f"'{name}' is derived (")
    first = DERIVED[name].to_set[0]
    assert f"); set {first}" in problem
    assert problem.endswith(" instead")


def test_names_from_elsewhere_lead_to_settings_and_are_none_themselves():
    leaves = {known.split(".")[-1] for known in catalog()}
    for name, meant in ELSEWHERE.items():
        assert meant in catalog()
        assert name not in leaves


def test_a_name_that_a_terminal_might_obey_is_escaped(write, problems_of):
    write({"c.toml": '"\\u001b[2J" = 1'})
    (problem,) = problems_of(load_settings, "c.toml")
    assert problem.startswith("c.toml:1: unknown setting '\"\\u001B[2J\"'; ")


def test_a_quoted_name_with_dots_is_no_setting(write, problems_of):
    write({"c.toml": '"train.batch_size" = 3'})
    assert problems_of(load_settings, "c.toml") == (
        "c.toml:1: unknown setting '\"train.batch_size\"'; "
        "did you mean 'train.batch_size'?",
    )
