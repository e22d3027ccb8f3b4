"""The settings themselves: the contract's defaults, frozen, strict, comparable."""

import pytest
from pydantic import ValidationError

from slangmod.errors import SettingsError
from slangmod.settings import Settings, load_settings
from slangmod.settings.catalog import catalog
from slangmod.settings.values import value_at

DEFAULTS = {
    "workdir": ".",
    "name": None,
    "size": None,
    "base": None,
    "seed": 100,
    "log_level": "info",
    "progress": True,
    "files.raw": ".",
    "files.suffix": None,
    "files.column": "text",
    "files.min_doc_len": 1,
    "files.cleaners": (),
    "files.encoding": "cp1252",
    "files.tokenizer": None,
    "tokens.algo": "bpe",
    "tokens.vocab": 16384,
    "tokens.dropout": 0,
    "tokens.min_freq": 0,
    "tokens.max_len": 16,
    "tokens.shrink_factor": 0.75,
    "tokens.n_iter": 2,
    "tokens.eos_regex": None,
    "tokens.eos_string": "\n\n",
    "data.seq_len": 512,
    "data.overlap": 0,
    "data.jitter": 32,
    "data.shuffle": True,
    "data.packing": "concat",
    "data.device": None,
    "data.precision": "bfloat16",
    "model.dim": 512,
    "model.positions": "vanilla",
    "model.context": 4096,
    "model.n_heads": 8,
    "model.n_kv_heads": None,
    "model.n_layers": 8,
    "model.attn_bias": False,
    "model.dropout": 0.1,
    "model.norm_cls": "layer",
    "model.norm_bias": True,
    "model.norm_first": True,
    "model.qk_norm": False,
    "model.tie_embeddings": True,
    "model.logit_softcap": None,
    "model.scale_grad_by_freq": False,
    "model.compile": True,
    "model.feedforward.flavor": "vanilla",
    "model.feedforward.activation": "gelu",
    "model.feedforward.gate": "gelu",
    "model.feedforward.bias": False,
    "model.feedforward.factor": 4,
    "train.batch_size": 64,
    "train.step_freq": 1,
    "train.clip_grad": 0.8,
    "train.label_smoothing": 0.1,
    "train.optimizer": "adamw",
    "train.max_epochs": 16,
    "train.patience": None,
    "train.learning_rate": 0.001,
    "train.warmup": 8000,
    "train.scaling": "inverse",
    "train.power": 0.5,
    "train.gamma": 0.95,
    "train.cooldown": 100000,
    "train.step_factor": 0.5,
    "train.step_every": 10,
    "train.poly_power": 0.999,
    "train.cycle_steps": 16,
    "train.cycle_gamma": 0.5,
    "train.min_learning_rate": 0,
    "train.max_learning_rate": None,
    "train.schedule_unit": "batch",
    "train.cb_freq": 1,
    "optimizer.weight_decay": 0.01,
    "optimizer.betas": None,
    "optimizer.eps": None,
    "checkpoint.every": None,
    "checkpoint.keep": 2,
    "chat.generator": "greedy",
    "chat.max_tokens": 256,
    "chat.temperature": 1.0,
    "chat.k": 0.1,
    "chat.p": 0.8,
    "chat.width": 8,
    "chat.boost": 1.0,
    "chat.style": "space",
    "chat.user": "USR",
    "chat.bot": "BOT",
    "chat.stop": "Stop!",
    "chat.system": "",
}
"""As the public contract has them."""


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_defaults_are_those_of_the_contract(name, default):
    assert value_at(load_settings(), tuple(name.split("."))) == default


def test_settings_cannot_be_changed_in_place():
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.train.batch_size = 3
    with pytest.raises(ValidationError):
        settings.train = settings.train
    with pytest.raises(ValidationError):
        settings.invented = 3
    with pytest.raises(TypeError):
        settings.extra["note"] = 3


def test_equal_settings_have_equal_hashes_and_others_differ():
    one = load_settings(None, {"extra": {"a": [1, {"b": 2}]}, "seed": 7})
    two = load_settings(None, {"seed": 7, "extra.a": [1, {"b": 2}]})
    other = load_settings(None, {"seed": 8, "extra.a": [1, {"b": 2}]})
    assert one == two
    assert hash(one) == hash(two)
    assert one != other
    assert len({one, two, other}) == 2


def test_lists_become_tuples():
    overrides = {"files.cleaners": ["quotes"], "extra.list": [1, [2]]}
    settings = load_settings(None, overrides)
    assert settings.files.cleaners == ("quotes",)
    assert settings.extra["list"] == (1, (2,))


def test_replace_gives_new_settings_and_leaves_the_old():
    old = load_settings()
    new = old.replace(**{"train.batch_size": 32, "train.patience": 3})
    assert (new.train.batch_size, new.train.patience) == (32, 3)
    assert old == load_settings()
    assert new.replace(**{"train.batch_size": 64, "train.patience": None}) == old


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"train.batch_size": 0}, "train.batch_size = 0: must be at least 1"),
        ({"train.batch_size": None}, 'train.batch_size = "none": must be a whole'),
        ({"train.batch_siz": 3}, "did you mean 'train.batch_size'?"),
        ({"model.dim": 100}, "model.dim must be a multiple of n_heads"),
        ({"size": "tiny"}, "acts when settings are loaded"),
        ({"base": "a.toml"}, "acts when settings are loaded"),
    ],
)
def test_replace_checks_everything_anew(changes, problem):
    with pytest.raises(SettingsError, match=r".") as caught:
        load_settings().replace(**changes)
    assert problem in str(caught.value)


def test_replace_finds_a_clash_with_what_was_there():
    settings = load_settings(None, {"model.scale_grad_by_freq": True})
    with pytest.raises(SettingsError, match=r"needs train\.step_freq = 1"):
        settings.replace(**{"train.step_freq": 2})


def test_replace_keeps_the_free_table_or_puts_another_in_its_place():
    settings = load_settings(None, {"extra": {"a": 1}})
    assert settings.replace(seed=1).extra == {"a": 1}
    assert settings.replace(**{"extra.b": 2}).extra == {"a": 1, "b": 2}
    assert settings.replace(extra={"b": 2}).extra == {"b": 2}


def test_settings_print_as_toml_that_loads(here):
    settings = load_settings(None, {"seed": 5, "extra": {"a b": {"c": [1, "x"]}}})
    (here / "printed.toml").write_text(str(settings))
    assert load_settings("printed.toml") == settings
    assert "\n[train]\nbatch_size = 64\n" in str(settings)


def test_settings_built_by_hand_are_closed_and_strict_too():
    for wrong in ({"seeed": 1}, {"seed": True}, {"train": {"clip_grad": True}}):
        with pytest.raises(ValidationError):
            Settings.model_validate(wrong)


def test_every_setting_has_a_meaning():
    for known in catalog().values():
        assert len(known.meaning) > 5, known.name
