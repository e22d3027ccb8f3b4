"""Names of classes are taken for our words; settings hold our words only."""

import pytest

from slangmod.settings import load_settings, resolve
from slangmod.settings.aliases import ALIASES
from slangmod.settings.catalog import catalog
from slangmod.settings.show import show

MEANT = [
    ("train.scaling", "ConstantLR", "constant"),
    ("train.scaling", "StepLR", "step"),
    ("train.scaling", "PolynomialLR", "polynomial"),
    ("train.scaling", "CyclicLR", "cyclic"),
    ("train.scaling", "TriangularCLR", "triangular"),
    ("train.scaling", "ExpRangeCLR", "exp_range"),
    ("train.scaling", "exprangeclr", "exp_range"),
    ("train.scaling", "Cosine", "cosine"),
    ("train.optimizer", "NAG", "nag"),
    ("train.optimizer", "RMSProp", "rmsprop"),
    ("train.optimizer", "AdaGrad", "adagrad"),
    ("train.optimizer", "Nadam", "nadam"),
    ("train.optimizer", "BFGS", "bfgs"),
    ("train.optimizer", "LBFGS", "bfgs"),
    ("train.optimizer", "AdamW", "adamw"),
]


@pytest.mark.parametrize(("name", "word", "ours"), MEANT)
def test_a_class_is_turned_into_our_word(write, name, word, ours):
    section, key = name.split(".")
    write({"c.toml": f'[{section}]\n{key} = "{word}"\n'})
    for settings in (
        load_settings("c.toml"),
        load_settings(None, {name: word}),
        load_settings().replace(**{name: word}),
        resolve(None, [(name, word)]).settings,
    ):
        assert getattr(settings.train, key) == ours
    assert f'{key} = "{ours}"' in show(resolve("c.toml"))


def test_every_alias_means_a_word_and_is_none_itself():
    for name, words in ALIASES.items():
        assert set(words.values()) <= set(catalog()[name].words)
        assert not set(words) & set(catalog()[name].words)
        assert all(word == word.lower() for word in words)


@pytest.mark.parametrize("value", ["OneCycleLR", "", "step "])
def test_other_words_are_refused(problems_of, value):
    (problem,) = problems_of(load_settings, None, {"train.scaling": value})
    assert "choose one of annealing" in problem


def test_other_settings_know_no_aliases(problems_of):
    assert problems_of(load_settings, None, {"model.norm_cls": "RMS"})


@pytest.mark.parametrize("name", ["warmup", "cooldown", "cycle_steps", "step_every"])
@pytest.mark.parametrize(
    "span", ["5%", "2 epochs", "0.5 epoch", "1M tokens", "9tokens"]
)
def test_durations_may_be_texts(name, span):
    for settings in (
        load_settings(None, {f"train.{name}": span}),
        resolve(None, [(f"train.{name}", span)]).settings,
    ):
        assert getattr(settings.train, name) == span


@pytest.mark.parametrize(
    "span", ["5", "%", "-5%", "1e3 tokens", "2 weeks", "5%\n", "1m tokens", "inf%"]
)
def test_other_texts_are_refused_at_their_line(write, problems_of, span):
    for name in ("warmup", "cooldown"):
        text = span.replace("\n", "\\n")
        write({"c.toml": f'[train]\n{name} = "{text}"\n'})
        (problem,) = problems_of(load_settings, "c.toml")
        assert problem.startswith(f"c.toml:2: train.{name} = ")
        assert '"2 epochs" or "1M tokens"' in problem


def test_only_a_warmup_may_be_nothing(problems_of):
    assert load_settings(None, {"train.warmup": "0%"}).train.warmup == "0%"
    for name in ("cooldown", "cycle_steps", "step_every"):
        for nothing in (0, "0%", "0.0 epochs", "00 tokens"):
            assert problems_of(load_settings, None, {f"train.{name}": nothing})
        assert load_settings(None, {f"train.{name}": "0.50%"})
