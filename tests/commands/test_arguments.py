"""A command line taken apart: nothing is guessed, nothing is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.commands import COMMANDS, SWITCH, own_flags
from slangmod.commands.arguments import SWITCHES, parse
from slangmod.settings.catalog import arrays, catalog

PARTS = [
    ("train", {"actions": ["train"]}),
    ("tokenize encode train", {"actions": ["tokenize", "encode", "train"]}),
    ("--seed 5 train", {"actions": ["train"], "settings": [("seed", "5")]}),
    ("train --seed=5", {"actions": ["train"], "settings": [("seed", "5")]}),
    ("train --seed -5", {"settings": [("seed", "-5")]}),
    ("train --seed=-5", {"settings": [("seed", "-5")]}),
    ("train --name a=b", {"settings": [("name", "a=b")]}),
    ("train --name=a=b", {"settings": [("name", "a=b")]}),
    ("train --name=", {"settings": [("name", "")]}),
    ("train --name -", {"settings": [("name", "-")]}),
    ("train --seed 1 --seed 2", {"settings": [("seed", "1"), ("seed", "2")]}),
    ("train --toml a.toml", {"files": ["a.toml"]}),
    ("train --debug --continue", {"switches": {"debug"}, "flags": {"continue": True}}),
    ("evaluate --split test", {"flags": {"split": "test"}}),
    ("generate once upon", {"actions": ["generate"], "words": ["once", "upon"]}),
    ("generate -- --seed 5", {"words": ["--seed", "5"], "settings": []}),
    ("train +extra.note=hello", {"settings": [("extra.note", "hello")]}),
    ("train ++extra.a.b=1=2", {"settings": [("extra.a.b", "1=2")]}),
    ("train +extra.note=", {"settings": [("extra.note", "")]}),
    ("train --name +x.y=1", {"settings": [("name", "+x.y=1")]}),
    ("generate +", {"words": ["+"]}),
    ("generate 1 +2 +two", {"words": ["1", "+2", "+two"]}),
    ("generate -- +extra.note=1", {"words": ["+extra.note=1"], "settings": []}),
    ("generate --prompt -", {"flags": {"prompt": "-"}}),
    ("generate --prompt=--x", {"flags": {"prompt": "--x"}}),
    ("generate -", {"words": ["-"]}),
    ("compare a b --name c --name d", {"words": ["a", "b"], "names": ("c", "d")}),
    ("config show", {"actions": ["config show"]}),
    ("config diff a b", {"actions": ["config diff"], "words": ["a", "b"]}),
    ("dry-run", {"actions": ["config show"]}),
    ("dry_run", {"actions": ["config show"]}),
    ("-h", {"switches": {"help"}}),
    ("config --help", {"family": "config", "switches": {"help"}}),
    ("train --seed", {"bare": ["seed"]}),
    ("train --seed --debug", {"bare": ["seed"], "switches": {"debug"}}),
    ("", {"actions": [], "problems": []}),
]


@pytest.mark.parametrize(("line", "parts"), PARTS)
def test_a_command_line_is_taken_apart(line, parts):
    arguments = parse(line.split())
    for name, expected in parts.items():
        assert getattr(arguments, name) == expected
    if "family" not in parts:
        assert arguments.problems == []


PROBLEMS = [
    (
        "train +train.batch_size=5",
        "+train.batch_size: only what is in [extra] can be added; use "
        "--train.batch_size to set it",
    ),
    ("train +seed=5", "+seed: only what is in [extra] can be added; use --seed to "
     "set it"),
    ("train +extra=5", "+extra: only what is in [extra] can be added; use --extra to "
     "set it"),
    ("train +extra.note", "+extra.note: needs a value, +extra.note=VALUE"),
    ("trian", "'trian': unknown action; did you mean 'train'?"),
    ("zzzzzz", "'zzzzzz': unknown action; see slangmod --help"),
    ("train zzzzzz", "'zzzzzz': unknown action; see slangmod --help"),
    ("train evalute", "'evalute': unknown action; did you mean 'evaluate'?"),
    ("train monitor", "'monitor': stands alone; run it by itself"),
    ("train dry-run", "'dry-run': stands alone; run it by itself"),
    ("train c.toml", "'c.toml': train takes no words of its own; "
     "did you mean --toml c.toml?"),
    ("chat hello", "'hello': chat takes no words of its own"),
    ("config show c.toml", "'c.toml': config show takes no words of its own; "
     "did you mean --toml c.toml?"),
    ("config", "'config': of what? choose one of check, diff, example, explain, "
     "schema, show"),
    ("config shwo", "'config shwo': unknown action; did you mean 'show'?"),
    ("train -x", "-x: flags begin with two dashes and are not abbreviated; "
     "what follows -- is taken for words"),
    ("train --debug=yes", "--debug: is a switch and takes no value"),
    ("train --overwrite=1", "--overwrite: is a switch and takes no value"),
    ("encode --overwrite", "--overwrite: belongs to train, not to encode"),
    ("clean encode --split test", "--split: belongs to evaluate, "
     "not to clean and encode"),
    ("train --plot x", "--plot: belongs to monitor and compare, not to train"),
    ("evaluate --split tset", '--split = "tset": choose one of test, train, '
     "validation; did you mean 'test'?"),
    ("compare --format xml", '--format = "xml": choose one of csv, html, json, table'),
]  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), PROBLEMS)
def test_what_is_wrong_with_a_command_line_is_said(line, problem):
    assert parse(line.split()).problems == [problem]


def test_all_problems_of_a_command_line_are_found():
    line = "train monitor nope -x --debug=1 --split test"
    assert len(parse(line.split()).problems) == 5


@given(
    st.lists(st.text() | st.sampled_from(["--", "--x", "train", "config", "--seed"]))
)
def test_any_command_line_is_taken_apart(argv):
    parse(argv)


def test_a_name_of_a_flag_means_one_thing():
    kinds = {}
    for command in COMMANDS.values():
        for flag in command.flags:
            assert kinds.setdefault(flag.name, flag.kind) == flag.kind
            assert (flag.kind == SWITCH) == (flag.value == "")
    names = set(own_flags())
    assert not names & (set(catalog()) | SWITCHES | {"toml"})


def test_actions_are_those_of_the_contract():
    contract = {
        *("demo", "clean", "tokenize", "encode", "train", "resume", "evaluate"),
        *("monitor", "compare", "summarize", "generate", "chat"),
        *("config show", "config diff", "config check", "config explain"),
        "config schema",
    }
    assert contract <= set(COMMANDS)
    pipeline = [name for name, command in COMMANDS.items() if command.pipeline]
    assert pipeline == ["clean", "tokenize", "encode", "train", "resume", "evaluate"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_action_has_a_module_and_obeys_settings_there_are(name):
    from importlib import import_module

    command = COMMANDS[name]
    assert callable(import_module(command.module).run)
    sections = {known.split(".")[0] for known in catalog()} | {"all"}
    sections |= {".".join(path) for path in arrays()}
    for setting in (*command.settings, *command.changeable):
        assert setting in catalog() or setting in sections
