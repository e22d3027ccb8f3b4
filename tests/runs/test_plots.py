import struct
from dataclasses import replace

import pytest

from slangmod.errors import UserError
from slangmod.runs import plots
from slangmod.runs.curves import read_curves
from slangmod.runs.plots import save_picture


@pytest.fixture
def curves(make_run):
    return tuple(read_curves(make_run(name), "tokens") for name in ("_one", "two"))


def test_a_png_is_a_picture_of_a_useful_size(tmp_path, curves):
    path = tmp_path / "a.png"
    save_picture(path, curves[:1], "tokens", "one")
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (1350, 900)


def test_an_svg_names_every_run(tmp_path, curves, monkeypatch):
    monkeypatch.setitem(plots.STYLE, "svg.fonttype", "none")
    path = tmp_path / "a.svg"
    save_picture(path, curves, "tokens", "a title")
    text = path.read_text()
    for part in ("_one", "two", "a title", "nats per token", "target tokens"):
        assert part in text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_curves_make_equal_bytes(tmp_path, curves, kind):
    for name in ("a", "b"):
        save_picture(tmp_path / f"{name}.{kind}", curves, "tokens", "title")
    a, b = (tmp_path / f"{name}.{kind}" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()


def test_curves_with_holes_can_be_drawn(tmp_path, make_run):
    runs = (
        read_curves(make_run("no-test", evaluations=0), "tokens"),
        read_curves(make_run("single", steps=1, evaluations=1), "tokens"),
    )
    for place, chosen in enumerate((runs, runs[:1], runs[1:])):
        save_picture(tmp_path / f"{place}.png", chosen, "tokens", "title")
        assert (tmp_path / f"{place}.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["a.pdf", "a", "png", "missing/a.png"])
def test_impossible_pictures_are_refused_and_nothing_written(tmp_path, curves, name):
    with pytest.raises(UserError, match="--plot"):
        save_picture(tmp_path / name, curves, "tokens", "title")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_matplotlib_the_way_out_is_named(tmp_path, curves, monkeypatch):
    monkeypatch.setattr(plots, "find_spec", {}.get)
    with pytest.raises(UserError, match=r"pip install 'slangmod\[plots\]'"):
        save_picture(tmp_path / "a.png", curves, "tokens", "title")


def test_the_borders_of_stages_are_drawn_of_a_run_alone(tmp_path, curves):
    staged = tuple(replace(run, borders=(6400.0,)) for run in curves)
    for name, runs in (("plain", curves), ("staged", staged)):
        save_picture(tmp_path / f"{name}-one.svg", runs[:1], "tokens", "title")
        save_picture(tmp_path / f"{name}-two.svg", runs, "tokens", "title")
    texts = {path.stem: path.read_text() for path in tmp_path.glob("*.svg")}
    dotted = "stroke-dasharray"
    counts = {name: text.count(dotted) for name, text in texts.items()}
    assert counts["staged-one"] == counts["plain-one"] + 2
    assert counts["staged-two"] == counts["plain-two"]
