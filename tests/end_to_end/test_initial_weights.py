"""A new run that starts from the weights of another, or of a model's folder."""

import shutil
from pathlib import Path

import pytest
import tomli
from safetensors.numpy import load_file

import slangmod
from slangmod.cli import main
from slangmod.commands.initial import differences
from slangmod.errors import DataError, SettingsError
from slangmod.settings.sections import Model, Settings

MODEL = "model/model.safetensors"
START = "checkpoints/step-000000000/model.safetensors"


@pytest.fixture
def here(trained, monkeypatch) -> Path:
    """The current folder, with a trained run called first."""
    monkeypatch.chdir(trained.folder)
    return trained.folder


def settings_of(source: str, **changes: str) -> Settings:
    """Settings of a run called second that starts from ``source``, for two steps."""
    given = {
        "name": "second",
        "progress": "false",
        "train.max_steps": "2",
        "checkpoint.keep": "9",
        "train.init_from": source,
    }
    return slangmod.load_settings("config.toml", {**given, **changes})


def content_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("source", ["runs/first", "runs/first/model", "elsewhere"])
def test_training_starts_from_the_weights_of_a_run_or_a_model(here, source) -> None:
    shutil.copytree(here / "runs/first/model", here / "elsewhere")
    before = content_of(here / "runs/first")
    slangmod.train(settings_of(source))
    wanted, found = (
        load_file(here / "runs" / name)
        for name in (f"first/{MODEL}", f"second/{START}")
    )
    assert wanted.keys() == found.keys()
    assert all((wanted[name] == found[name]).all() for name in wanted)
    first = tomli.loads((here / "runs/first/summary.toml").read_text("utf-8"))
    second = tomli.loads((here / "runs/second/summary.toml").read_text("utf-8"))
    start = first["outcome"]["best_test_loss"]
    assert abs(second["outcome"]["best_test_loss"] - start) < 0.1
    assert content_of(here / "runs/first") == before
    log = (here / "runs/second/train.log").read_text("utf-8")
    assert f"starting from the weights of {source}" in log


def test_resume_never_needs_the_source_again(here) -> None:
    train = ("train", "--toml", "config.toml", "--train.init_from", "runs/first")
    assert main((*train, "--name", "whole", "--train.max_steps", "6")) == 0
    assert main((*train, "--name", "parts", "--train.max_steps", "3")) == 0
    runs = here / "runs"
    config = tomli.loads((runs / "parts/config.toml").read_text("utf-8"))
    assert config["train"]["init_from"] == str(runs / "first")
    shutil.rmtree(runs / "first")
    assert main(("resume", "--name", "parts", "--train.max_steps", "6")) == 0
    parts, whole = ((runs / name / MODEL).read_bytes() for name in ("parts", "whole"))
    assert parts == whole


def test_a_run_may_start_from_the_one_that_it_moves_aside(here) -> None:
    wanted = (here / "runs/first" / MODEL).read_bytes()
    slangmod.train(settings_of("runs/first", name="first"), overwrite=True)
    assert (here / "runs/first.old-1" / MODEL).read_bytes() == wanted
    found, old = load_file(here / "runs/first" / START), here / "runs/first.old-1"
    assert all((found[n] == w).all() for n, w in load_file(old / MODEL).items())


def test_weights_of_another_shape_are_refused_and_nothing_is_written(trained) -> None:
    before = content_of(trained.folder)
    result = trained.run(
        "train", "--toml", "config.toml", "--name", "second", "--train.init_from",
        "runs/first", "--model.dim", "32", "--model.feedforward.flavor", "glu",
    )  # fmt: skip
    assert result.returncode == 2
    named = 'slangmod: error: train.init_from = "runs/first": model.'
    assert result.stderr.splitlines() == [
        f"{named}dim is 32, and that model has 16; make them the same",
        f'{named}feedforward.flavor is "glu", and that model has "vanilla"; make them '
        "the same",
    ]
    assert content_of(trained.folder) == before


def test_weights_for_another_tokenizer_are_refused(here) -> None:
    tokenizer = here / "runs/first/model/tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b"\n")
    with pytest.raises(SettingsError, match=r"is not the tokenizer of .*encodings-"):
        slangmod.train(settings_of("runs/first"))
    assert not (here / "runs/second").exists()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("runs/frist", "is neither a run nor the folder of a model"),
        ("runs", "is neither a run nor the folder of a model"),
        ("runs/stopped", "there is no model yet"),
    ],
)
def test_what_has_no_weights_is_refused(here, source: str, fault: str) -> None:
    (here / "runs/stopped").mkdir()
    shutil.copy(here / "runs/first/config.toml", here / "runs/stopped")
    with pytest.raises(DataError, match=fault):
        slangmod.train(settings_of(source))
    assert not (here / "runs/second").exists()


def test_damaged_weights_are_refused(here) -> None:
    (here / "runs/first" / MODEL).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"model\.safetensors"):
        slangmod.train(settings_of("runs/first"))
    assert not (here / "runs/second").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.5},
        {"compile": False},
        {"logit_softcap": 30.0},
        {"scale_grad_by_freq": True},
        {"context": 99},
        {"n_kv_heads": 8},
    ],
)
def test_what_leaves_weights_alone_may_differ(change: dict[str, object]) -> None:
    assert differences(Model(), Model().model_copy(update=change)) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"n_heads": 4}, "n_heads"),
        ({"n_kv_heads": 4}, "n_kv_heads"),
        ({"n_layers": 4}, "n_layers"),
        ({"tie_embeddings": False}, "tie_embeddings"),
        ({"positions": "rotary"}, "positions"),
        ({"norm_first": False}, "norm_first"),
    ],
)
def test_what_gives_weights_their_meaning_may_not(
    change: dict[str, object], name: str
) -> None:
    found = differences(Model(), Model().model_copy(update=change))
    assert any(line.startswith(f"model.{name} is ") for line in found)


def test_how_far_learnt_positions_reach_may_not_differ() -> None:
    one, other = (Model(positions="learnable", context=size) for size in (64, 128))
    assert len(differences(one, other)) == 1
