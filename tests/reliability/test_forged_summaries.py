"""Whatever a summary says, those who look at its run see the rest."""

import json
from pathlib import Path

import pytest

from slangmod.cli import main
from slangmod.runs.live import answer
from slangmod.runs.points import Points
from slangmod.runs.summary import KINDS
from slangmod.settings.sections import Plot

VALUES = (
    *("inf", "-inf", "nan", "-1", "-0.5", "1e308", "9" * 127, "0.5", "7", "true"),
    *("2026-01-31", "12:00:00", "2026-01-31T12:00:00Z"),
    *('"text"', '""', "[]", "[1, [2]]", "{}", "{a = 1}", "[{a = 1}]"),
)
LOOKING = (
    ("summarize", "first"),
    ("monitor", "first"),
    ("compare", "first", "second"),
    ("compare", "first", "second", "--format", "csv"),
    ("compare", "first", "second", "--format", "json"),
    ("compare", "first", "second", "--format", "html"),
    ("report", "first"),
)
"""Commands that must end well."""


def summary(value: str) -> str:
    """One that has ``value`` for everything that anybody relies on."""
    tables: dict[str, list[str]] = {}
    for _, wanted in KINDS.values():
        for table, keys in wanted.items():
            tables.setdefault(table, []).extend(f"{key} = {value}" for key in keys)
    return "\n".join("\n".join([f"[{name}]", *of]) for name, of in tables.items())


@pytest.mark.parametrize("value", VALUES)
def test_who_looks_sees_the_rest(
    make_run, tmp_path, monkeypatch, capsys, promise, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        run = make_run(name)
        run.summary.write_text(f"{summary(value)}\n[other]\nfact = {value}\n")
    for words in LOOKING:
        assert main(list(words)) == 0, words
        said = capsys.readouterr()
        assert "error" not in said.err
        assert "first" in said.out + said.err
        if "json" in words or "summarize" in words:
            json.loads(said.out, parse_constant=pytest.fail)
    told = answer((Points(run, 20),), Plot(), "")
    assert json.loads(told, parse_constant=pytest.fail)["runs"][0]["tests"]["step"]
    promise("R17", len(LOOKING) + 1)


def test_misfits_are_told_by_who_is_asked_for_problems(
    make_run, tmp_path, monkeypatch, capsys, promise
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run("first")
    run.summary.write_text('[outcome]\nreason = inf\nsteps = "\\u001b"\nwhy = "so"\n')
    main(["summarize"])
    (about,) = json.loads(capsys.readouterr().out)
    place = Path("runs", "first", "summary.toml")
    lines = [
        f"{place}: outcome.reason = inf: is no text",
        f'{place}: outcome.steps = "\\u001B": is no count',
    ]
    assert about["problems"] == lines
    assert about["outcome"] == {"why": "so"}
    assert main(["verify", "first"]) == 1
    told = capsys.readouterr().out.splitlines()
    way = "; remove that file, and `slangmod resume --name first` writes it anew"
    assert set(told) >= {line + way for line in lines}
    promise("R17", 2)
