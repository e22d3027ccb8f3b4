"""Help says all there is, from the tables that the program itself obeys."""

import pytest

from slangmod.commands import COMMANDS, help
from slangmod.settings.catalog import arrays, catalog
from slangmod.settings.run import may_change


def test_the_overview_has_a_line_for_each_action():
    lines = help.overview().splitlines()
    for name, command in COMMANDS.items():
        assert f"  {name:<16}{command.help}" in lines
    assert all(len(line) <= 88 for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_an_action_has_its_flags_and_settings(name):
    command, text = COMMANDS[name], help.of_action(name)
    for flag in command.flags:
        assert f"  {flag.name}" in text
        assert flag.help in " ".join(text.split())
    for known in catalog().values():
        obeyed = command.settings == ("all",) or may_change(
            known.path, command.settings
        )
        assert (f"  --{known.name}{'.KEY' * known.free} " in text) == obeyed


@pytest.mark.parametrize("name", COMMANDS)
def test_arrays_of_tables_are_listed_where_they_are_obeyed(name):
    command, text = COMMANDS[name], help.of_action(name)
    for path, section in arrays().items():
        array = ".".join(path)
        obeyed = command.settings == ("all",) or may_change(path, command.settings)
        assert (f"\n[[{array}]] {section.__doc__}\n" in text) == obeyed
        for known in catalog(section).values():
            assert (f"\n  --{array}.N.{known.name} " in text) == obeyed
    obeyed = name in ("plan", "profile", "train", "config show", "config explain")
    assert ("\n  --stage.N.epochs INTEGER|none\n" in text) == obeyed
    assert ("\n  --stage.N.SECTION.KEY VALUE\n" in text) == obeyed


def test_a_setting_has_type_default_unit_and_meaning():
    text = " ".join(help.of_action("train").split())
    assert (
        "--train.cb_freq INTEGER every how many mini-batches the training loss and the "
        "learning rate are logged; at least 1; default 1 mini-batches" in text
    )
    assert (
        "--train.warmup INTEGER|TEXT during which the rate rises linearly to "
        'learning_rate; at least 0 or a text such as "5%" (of the planned training), '
        '"2 epochs" or "1M tokens"; default 8000 mini-' in text
    )
    assert "--train.scaling inverse|exponential|cosine|annealing" in text
    assert "unset: never; at least 2; default none" in text


def test_a_family_of_actions_is_listed():
    text = help.of_family("config")
    for name, command in COMMANDS.items():
        assert (f"  {name} {command.words}".strip() in text) == (
            name.startswith("config ")
        )


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_help_keeps_to_the_width_of_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = [
        line
        for action in COMMANDS
        for line in help.of_action(action).splitlines()
        if not line.startswith(("  --", "["))  # names and types stay in one piece
    ]
    assert max(map(len, lines)) <= max(60, min(100, int(columns)))
