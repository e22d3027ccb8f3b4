"""How classes of others are written in settings, and which of them may be named."""

import pytest

from slangmod.settings import load_settings
from slangmod.settings.free import FreeTable
from slangmod.settings.plugins import allowed, as_reference, functions_named, is_plugin
from slangmod.settings.sections import FeedForward, LayerFeedForward, LayerTable, Model
from slangmod.settings.values import value_at

ALLOWED = [
    ("torch.nn:Sigmoid", (), True),
    ("torch.nn.modules.activation:Sigmoid", (), True),
    ("torch.optim:RAdam", (), True),
    ("slangmod.optim.bfgs:LBFGS", (), True),
    ("torch:Tensor", (), False),
    ("torch.hub:load", (), False),
    ("torch.utils.cpp_extension:load", (), False),
    ("torch.nnx:Sigmoid", (), False),
    ("torchvision.ops:MLP", (), False),
    ("slangmodel:X", (), False),
    ("mine:X", (), False),
    ("mine:X", ("mine",), True),
    ("mine.deep.er:X", ("mine",), True),
    ("mine.deep:X", ("mine.deep",), True),
    ("mine.deep.er:X", ("mine.deep",), True),
    ("mine:X", ("mine.deep",), False),
    ("mine.deeper:X", ("mine.deep",), False),
    ("mines:X", ("mine",), False),
    ("torch.hub:X", ("torch.hub",), True),
    ("os:system", ("mine", ""), False),
]


@pytest.mark.parametrize(("word", "allow", "expected"), ALLOWED)
def test_only_what_is_inside_of_allowed_packages_is_allowed(word, allow, expected):
    assert allowed(word, allow) is expected


REFERENCES = [
    ({"_target_": "torch.nn.Sigmoid"}, "torch.nn:Sigmoid"),
    (FreeTable({"_target_": "torch.nn.SELU"}), "torch.nn:SELU"),
    ('{_target_ = "torch.nn.Sigmoid"}', "torch.nn:Sigmoid"),
    ("{_target_ = 'torch.nn.Sigmoid'}", "torch.nn:Sigmoid"),
    ("{_target_: torch.nn.Sigmoid}", "torch.nn:Sigmoid"),
    (" { _target_ : torch.nn.Sigmoid } ", "torch.nn:Sigmoid"),
]


@pytest.mark.parametrize(("value", "expected"), REFERENCES)
def test_a_target_is_a_reference(value, expected):
    assert as_reference(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "gelu",
        "torch.nn:Sigmoid",
        "",
        5,
        None,
        {},
        {"_target_": "Sigmoid"},
        {"_target_": 5},
        {"_target_": "torch.nn.Softmax", "dim": 1},
        {"target": "torch.nn.Sigmoid"},
        "{_target_: Sigmoid}",
        "{_target_: torch.nn.Softmax, dim: 1}",
        "{_target_: \"torch.nn.Sigmoid'}",
    ],
)
def test_what_is_no_target_is_left_as_it_is(value):
    assert as_reference(value) is value


def test_words_of_ours_are_no_references():
    assert not is_plugin("gelu")
    assert is_plugin("torch.nn:GELU")


def test_functions_are_named_by_the_setting_that_names_them():
    model = Model(
        feedforward=FeedForward(gate="torch.nn:Tanh"),
        layer=(
            LayerTable(),
            LayerTable(feedforward=LayerFeedForward(activation="torch.nn:SELU")),
        ),
    )
    assert list(functions_named(model)) == [
        ("model.feedforward.gate", "torch.nn:Tanh"),
        ("model.layer.2.feedforward.activation", "torch.nn:SELU"),
    ]


WRONG = [
    ("mine:Fast", "is not from torch or slangmod; list its package in plugins.allow"),
    ("torch.hub:Fast", "of torch, only classes of torch.nn and torch.optim"),
    ("torch.optim:", "a class such as"),
    ("torch.optim.RAdam", "a class such as"),
    ("torch optim:RAdam", "a class such as"),
    ("a:b:c", "a class such as"),
    ("../mine:Fast", "a class such as"),
]


@pytest.mark.parametrize(("word", "reason"), WRONG)
def test_a_class_that_may_not_be_named_is_refused_in_one_line(
    problems_of, word, reason
):
    (problem,) = problems_of(load_settings, None, {"train.optimizer": word})
    assert problem.startswith(f'train.optimizer = "{word}": ')
    assert reason in problem
    assert "\n" not in problem


def test_what_the_user_allows_may_be_named():
    values = {"train.optimizer": "mine:Fast", "plugins.allow": ["mine"]}
    assert load_settings(None, values).train.optimizer == "mine:Fast"


@pytest.mark.parametrize("key", ["feedforward.activation", "feedforward.gate"])
@pytest.mark.parametrize("value", [value for value, _ in REFERENCES])
def test_a_target_is_loaded_as_a_reference(key, value):
    settings = load_settings(None, {f"model.{key}": value})
    assert value_at(settings, ("model", *key.split("."))).endswith(("Sigmoid", "SELU"))


def test_a_target_with_arguments_is_told_what_is_expected(problems_of):
    value = {"_target_": "torch.nn.Softmax", "dim": 1}
    (problem,) = problems_of(load_settings, None, {"model.feedforward.gate": value})
    assert 'a class such as "torch.nn:SELU"' in problem


def test_in_a_free_table_a_target_stays_what_it_is():
    settings = load_settings(None, {"extra.a": "{_target_: torch.nn.Sigmoid}"})
    assert settings.extra["a"] == "{_target_: torch.nn.Sigmoid}"
