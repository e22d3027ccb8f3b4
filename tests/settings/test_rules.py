"""Settings that cannot stand together: each rule, at both sides of its border."""

import pytest

from slangmod.settings import load_settings, resolve, stages
from slangmod.settings.free import FreeTable
from slangmod.settings.rules import RULES, clashes
from slangmod.settings.sections import (
    Group,
    LayerFeedForward,
    LayerTable,
    Settings,
    Stage,
)

MINE = LayerFeedForward(activation="mine:Soft")

SGD = (("train.optimizer", "sgd"),)
MASK, CONCAT = ((("data.packing", word),) for word in ("mask", "concat"))

CLASHES = [
    ({"stage": (Stage(),)}, ("stage.1.epochs", "stage.1.steps")),
    ({"stage": (Stage(epochs=1, steps=2),)}, ("stage.1.epochs", "stage.1.steps")),
    (
        {"stage": (Stage(epochs=1, name="a"), Stage(epochs=1, name="a"))},
        ("stage.2.name",),
    ),
    ({"stage": (Stage(epochs=1, name="7"),)}, ("stage.1.name",)),
    ({"stage": (Stage(epochs=1, name="epochs"),)}, ("stage.1.name",)),
    (
        {"stage": (Stage(epochs=1), Stage(epochs=1, changes=SGD))},
        ("stage.2.reset_optimizer", "train.optimizer"),
    ),
    (
        {"stage": (Stage(epochs=1, changes=SGD), Stage(epochs=1))},
        ("stage.2.reset_optimizer", "train.optimizer"),
    ),
    (
        {"stage": (Stage(epochs=1, changes=(("data.seq_len", 5000),)),)},
        ("stage.1.data.seq_len", "model.context"),
    ),
    (
        {"stage": (Stage(epochs=1), Stage(epochs=1, changes=MASK))},
        ("stage.2.data.packing", "data.packing"),
    ),
    (
        {"stage": (Stage(epochs=1, changes=CONCAT),), "data.packing": "mask"},
        ("stage.1.data.packing", "data.packing"),
    ),
    ({"optimizer.group": (Group(learning_rate=1.0),)}, ("optimizer.group.1.match",)),
    ({"model.n_heads": 7}, ("model.n_heads", "model.dim")),
    ({"model.dim": 100}, ("model.n_heads", "model.dim")),
    ({"model.n_kv_heads": 3}, ("model.n_kv_heads", "model.n_heads")),
    ({"model.n_kv_heads": 16}, ("model.n_kv_heads", "model.n_heads")),
    (
        {"model.dim": 8, "model.positions": "rotary"},
        ("model.positions", "model.dim", "model.n_heads"),
    ),
    ({"data.seq_len": 4097}, ("data.seq_len", "model.context")),
    ({"model.context": 511}, ("data.seq_len", "model.context")),
    ({"data.overlap": 512}, ("data.overlap", "data.seq_len")),
    ({"data.overlap": 512.0}, ("data.overlap", "data.seq_len")),
    ({"data.overlap": 0.9999}, ("data.overlap", "data.seq_len")),
    ({"data.overlap": 1.5}, ("data.overlap",)),
    (
        {"model.scale_grad_by_freq": True, "train.step_freq": 2},
        ("model.scale_grad_by_freq", "train.step_freq"),
    ),
    ({"tokens.vocab": 256}, ("tokens.vocab", "tokens.algo")),
    ({"tokens.vocab": 256, "tokens.algo": "unigram"}, ("tokens.vocab", "tokens.algo")),
    (
        {"tokens.vocab": 512, "tokens.algo": "wordpiece"},
        ("tokens.vocab", "tokens.algo"),
    ),
    ({"tokens.eos_regex": "(["}, ("tokens.eos_regex",)),
    ({"tokens.eos_regex": "(?P<a>x){99999999999}"}, ("tokens.eos_regex",)),
    ({"files.encoding": "klingon"}, ("files.encoding",)),
    ({"files.encoding": "hex"}, ("files.encoding",)),
    ({"files.encoding": ""}, ("files.encoding",)),
    ({"files.encoding": "a\0b"}, ("files.encoding",)),
    ({"chat.k": 2.5}, ("chat.k",)),
    ({"train.max_time": "0s"}, ("train.max_time",)),
    ({"train.max_time": "0.0h"}, ("train.max_time",)),
    (
        {"optimizer.betas": (0.9, 0.9), "train.optimizer": "adafactor"},
        ("optimizer.betas", "train.optimizer"),
    ),
    (
        {"optimizer.eps": 1e-8, "train.optimizer": "adafactor"},
        ("optimizer.eps", "train.optimizer"),
    ),
    (
        {"optimizer.weight_decay": 0.1, "train.optimizer": "adam"},
        ("optimizer.weight_decay", "train.optimizer"),
    ),
    (
        {"optimizer.momentum": 0.9, "train.optimizer": "sgd"},
        ("optimizer.momentum", "train.optimizer"),
    ),
    ({"optimizer.rho": 0.9}, ("optimizer.rho", "train.optimizer")),
    ({"optimizer.history": 5}, ("optimizer.history", "train.optimizer")),
    ({"optimizer.bfgs_warmup": 0}, ("optimizer.bfgs_warmup", "train.optimizer")),
    (
        {"train.min_learning_rate": 0.002},
        ("train.min_learning_rate", "train.learning_rate"),
    ),
    (
        {"train.max_learning_rate": 0.0009},
        ("train.max_learning_rate", "train.learning_rate"),
    ),
    (
        {"train.optimizer": "torch.optim:RAdam", "optimizer.betas": (0.9, 0.9)},
        ("optimizer.betas", "train.optimizer"),
    ),
    (
        {"optimizer.options": FreeTable({"a": {"b": 1}})},
        ("optimizer.options.a.b", "train.optimizer"),
    ),
    (
        {
            "train.optimizer": "torch.optim:RAdam",
            "optimizer.options": FreeTable({"eps": 1e-6, "lr": 1.0}),
        },
        ("optimizer.options.lr",),
    ),
    (
        {"train.optimizer": "mine:Fast", "plugins.allow": ("yours",)},
        ("train.optimizer", "plugins.allow"),
    ),
    (
        {"model.feedforward.gate": "torch.hub:load"},
        ("model.feedforward.gate", "plugins.allow"),
    ),
    (
        {"model.layer": (LayerTable(feedforward=MINE),)},
        ("model.layer.1.feedforward.activation", "plugins.allow"),
    ),
    ({"plugins.allow": ("mine", "")}, ("plugins.allow",)),
    ({"plugins.allow": ("mine/",)}, ("plugins.allow",)),
    (
        {"model.layer": (LayerTable(), LayerTable(n_heads=7))},
        ("model.layer.2.n_heads", "model.dim"),
    ),
    (
        {"model.layer": (LayerTable(n_heads=8, n_kv_heads=3),)},
        ("model.layer.1.n_kv_heads", "model.layer.1.n_heads"),
    ),
    (
        {"model.layer": (LayerTable(n_kv_heads=3),)},
        ("model.layer.1.n_kv_heads", "model.n_heads"),
    ),
    (
        {
            "model.layer": (LayerTable(), LayerTable(n_heads=4)),
            "model.dim": 12,
            "model.n_heads": 2,
            "model.positions": "rotary",
        },
        ("model.positions", "model.dim", "model.layer.2.n_heads"),
    ),
    (
        {"optimizer.group": (Group(match="*", momentum=0.5),)},
        ("optimizer.group.1.momentum", "train.optimizer"),
    ),
    (
        {
            "train.optimizer": "adam",
            "optimizer.group": (
                Group(match="*norm*"),
                Group(match="*", weight_decay=0.0),
            ),
        },
        ("optimizer.group.2.weight_decay", "train.optimizer"),
    ),
    (
        {"train.optimizer": "bfgs", "optimizer.group": (Group(match="*"),)},
        ("optimizer.group.1.match", "train.optimizer"),
    ),
    (
        {"optimizer.group": (Group(match="*"), Group(match="*norm*"))},
        ("optimizer.group.2.match",),
    ),
    (
        {"optimizer.group": (Group(match="layers.8.*"),)},
        ("optimizer.group.1.match",),
    ),
    (
        {
            "train.optimizer": "muon",
            "optimizer.group": (Group(match="embed*", momentum=0.5),),
        },
        ("optimizer.group.1.momentum", "train.optimizer"),
    ),
    (
        {
            "train.optimizer": "muon",
            "optimizer.group": (Group(match="*.qkv.weight", betas=(0.5, 0.5)),),
        },
        ("optimizer.group.1.betas", "train.optimizer"),
    ),
    ({"name": "."}, ("name",)),
    ({"name": ".."}, ("name",)),
    ({"name": ".aside-1"}, ("name",)),
    ({"workdir": ""}, ("workdir",)),
    ({"files.raw": "a\0b"}, ("files.raw",)),
    ({"files.tokenizer": ""}, ("files.tokenizer",)),
    ({"train.init_from": ""}, ("train.init_from",)),
    (
        {"model.zero_init": True, "model.feedforward.flavor": "grn"},
        ("model.zero_init", "model.feedforward.flavor"),
    ),
]

SOUND = [
    {"stage": (Stage(epochs=1, changes=MASK),), "data.packing": "mask"},
    {"stage": (Stage(epochs=1, changes=(("data.packing", "pad"),)),)},
    {"model.attention_window": 1},
    {"model.attention_window": 100_000},
    {"model.n_kv_heads": 1},
    {"model.n_kv_heads": 8},
    {"model.dim": 16, "model.positions": "rotary"},
    {"model.dim": 8, "model.positions": "learnable"},
    {"model.zero_init": True, "model.feedforward.flavor": "glu"},
    {"data.seq_len": 4096},
    {"data.overlap": 511},
    {"data.overlap": 511.0},
    {"data.overlap": 0.99},
    {"data.seq_len": 1, "data.overlap": 0},
    {"data.jitter": 100_000},
    {"model.scale_grad_by_freq": True},
    {"tokens.vocab": 257},
    {"tokens.vocab": 513, "tokens.algo": "wordpiece"},
    {"tokens.vocab": 2, "tokens.algo": "byte"},
    {"tokens.eos_regex": r"\n(?=# )"},
    {"files.encoding": "ascii"},
    {"chat.k": 50.0},
    {"chat.k": 1},
    {"train.max_time": "0.5s"},
    {"optimizer.betas": (0.9, 0.95)},
    {"train.optimizer": "adafactor"},
    {"train.optimizer": "adam"},
    {"train.optimizer": "adam", "optimizer.weight_decay": 0.0},
    {"train.optimizer": "rmsprop", "optimizer.rho": 0.9, "optimizer.momentum": 0.9},
    {"train.optimizer": "bfgs", "optimizer.history": 1, "optimizer.bfgs_warmup": 0},
    {"train.optimizer": "muon", "optimizer.betas": (0.9, 0.95)},
    {"train.min_learning_rate": 0.001, "train.max_learning_rate": 0.001},
    {"train.optimizer": "torch.optim:RAdam", "optimizer.weight_decay": 0.3},
    {
        "train.optimizer": "torch.optim:RAdam",
        "optimizer.options": FreeTable({"betas": (0.9, 0.9)}),
    },
    {"train.optimizer": "mine.fast:Fast", "plugins.allow": ("mine",)},
    {"plugins.allow": ("mine", "yours.gates_2")},
    {"model.layer": (LayerTable(n_heads=4), LayerTable(n_heads=16))},
    {
        "model.dim": 15,
        "model.layer": (LayerTable(n_heads=3), LayerTable(n_heads=5)),
    },
    {"optimizer.group": (Group(match="layers.7.*", betas=(0.5, 0.5)),)},
    {
        "model.layer": (LayerTable(repeat=9),),
        "optimizer.group": (Group(match="layers.8.*", weight_decay=1.0),),
    },
    {
        "train.optimizer": "adam",
        "optimizer.group": (Group(match="embedding.*", learning_rate=0.0),),
    },
    {
        "train.optimizer": "muon",
        "optimizer.group": (Group(match="layers.*", momentum=0.5, eps=1e-6),),
    },
    {
        "train.optimizer": "torch.optim:SGD",
        "optimizer.group": (Group(match="layers.*", momentum=0.5),),
    },
    {"name": "...a"},
    {"name": "-"},
    {"workdir": " "},
]


def changed(values):
    """Settings with ``values``, no rule asked."""
    return stages.changed(Settings(), values.items())


@pytest.mark.parametrize(("values", "keys"), CLASHES)
def test_settings_that_clash_are_named(problems_of, values, keys):
    assert [clash.keys for clash in clashes(changed(values))] == [keys]
    (problem,) = problems_of(load_settings, None, values)
    assert all(key in problem for key in keys)


@pytest.mark.parametrize("values", SOUND)
def test_settings_at_the_sound_side_of_the_border_are_taken(values):
    assert clashes(changed(values)) == []
    load_settings(None, values)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_something_and_nothing_in_the_defaults(rule):
    assert list(rule(Settings())) == []
    assert any(list(rule(changed(values))) for values, _ in CLASHES)


PLACES = [
    ("model.n_heads = 7", {}, [],
     "c.toml:1: model.n_heads = 7: model.dim must be a multiple of n_heads; "
     "model.dim = 512 (default)"),
    ("model.n_heads = 7", {}, [("model.dim", "64")],
     "--model.dim = 64: model.dim must be a multiple of n_heads; "
     "model.n_heads = 7 (c.toml:1)"),
    ("\nmodel.dim = 64\nmodel.n_heads = 7", {}, [],
     "c.toml:3: model.n_heads = 7: model.dim must be a multiple of n_heads; "
     "model.dim = 64 (c.toml:2)"),
    ('size = "tiny"\nmodel.n_heads = 7', {}, [],
     "c.toml:2: model.n_heads = 7: model.dim must be a multiple of n_heads; "
     "model.dim = 128 (preset:tiny)"),
    ("", {"SLM_DATA__SEQ_LEN": "5000"}, [],
     "SLM_DATA__SEQ_LEN = 5000: data.seq_len must be at most model.context; "
     "model.context = 4096 (default)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "variables", "flags", "problem"), PLACES)
def test_a_clash_is_told_at_the_place_that_had_the_last_word(
    write, problems_of, file, variables, flags, problem
):
    write({"c.toml": file})
    assert problems_of(resolve, "c.toml", flags, variables) == (problem,)


def test_a_wrong_value_is_not_blamed_for_a_clash_as_well(problems_of):
    values = {"model.dim": "x", "model.n_heads": 7, "data.seq_len": 5000}
    problems = problems_of(load_settings, None, values)
    assert len(problems) == 2
    assert problems[0].startswith("model.dim = ")
    assert problems[1].startswith("data.seq_len = ")
