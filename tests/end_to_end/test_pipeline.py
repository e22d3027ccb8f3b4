"""From raw text to a model that talks, by the command line alone."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tomli
from safetensors.numpy import load_file

import slangmod

PIPELINE = ("clean", "tokenize", "encode", "train", "--toml", "config.toml")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_run_folder_holds_what_the_contract_says(trained) -> None:
    run = trained.folder / "runs" / "first"
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert {
        "config.toml",
        "train.log",
        "steps.csv",
        "epochs.csv",
        "memory.csv",
        "speed.csv",
        "summary.toml",
        "checkpoints",
        "model",
    } <= names
    model = {path.name for path in (run / "model").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= model
    steps = rows_of(run / "steps.csv")
    assert list(steps[0]) == [
        "step",
        "epoch",
        "batch",
        "tokens",
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens_per_second",
    ]
    epochs = rows_of(run / "epochs.csv")
    assert [row["epoch"] for row in epochs] == ["1", "2", "3"]
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    assert set(summary) == {"outcome", "validation", "environment", "cost"}
    assert summary["outcome"]["reason"] == "max_epochs"
    assert int(steps[-1]["step"]) == summary["outcome"]["steps"]
    losses = [float(row["test_loss"]) for row in epochs]
    assert summary["outcome"]["best_test_loss"] == min(losses)
    assert losses[-1] < losses[0] < np.log(280)


def test_a_run_tells_how_fast_it_was_and_what_its_time_went_into(trained) -> None:
    run = trained.folder / "runs" / "first"
    cost = tomli.loads((run / "summary.toml").read_text("utf-8"))["cost"]
    assert cost["mfu"] == pytest.approx(
        cost["tokens_per_second"] * cost["flops_per_token"] / cost["peak_flops"]
    )
    model, vocab, dim, seq_len = 2 * (4 + 8) * 16 * 16, 280, 16, 16
    flops = 6 * (model + vocab * dim) + 2 * 6 * dim * (seq_len + 1)
    assert cost["flops_per_token"] == flops
    assert cost["peak_source"].startswith("measured, float32, ")
    parts = {name: s for name, s in cost.items() if name.endswith("_seconds")}
    assert len(parts) == 7
    assert sum(parts.values()) == pytest.approx(cost["seconds"], rel=0.01)
    assert min(parts[f"{name}_seconds"] for name in ("evaluation", "checkpoint")) > 0
    log = (run / "train.log").read_text("utf-8")
    assert cost["verdict"] in log
    assert "forward and backward " in log
    rows = rows_of(run / "speed.csv")
    assert [row["step"] for row in rows][-1] == rows_of(run / "epochs.csv")[-1]["step"]
    assert float(rows[-1]["seconds"]) <= cost["seconds"]
    for row in rows:
        assert float(row["mfu"]) > 0


def test_encodings_are_bare_arrays_with_a_manifest(trained) -> None:
    (folder,) = trained.folder.glob("encodings-*")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["dtype"] == "uint16"
    assert manifest["vocab"] == 280
    for split in ("train", "test", "validation"):
        part = manifest["splits"][split]
        ids = np.concatenate(
            [np.fromfile(folder / shard["name"], "<u2") for shard in part["shards"]]
        )
        assert len(ids) == part["tokens"]
        assert (ids == manifest["end"]).sum() == part["documents"] == 1
        assert ids[-1] == manifest["end"]
        text = (trained.folder / "raw" / f"{split}.txt").read_bytes()
        assert part["bytes"] == len(text)


def test_what_is_there_and_unchanged_is_not_made_again(trained) -> None:
    before = {
        path: path.stat().st_mtime_ns
        for path in trained.folder.rglob("*")
        if path.is_file() and "runs" not in path.parts
    }
    trained.done("clean", "tokenize", "encode", "--toml", "config.toml")
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


@pytest.mark.slow
def test_train_refuses_encodings_of_another_tokenizer(trained) -> None:
    result = trained.run(
        "train", "--toml", "config.toml", "--tokens.vocab", "290", "--name", "second"
    )
    assert result.returncode == 2
    assert "tokenize" in result.stderr or "encode" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (trained.folder / "runs" / "second").exists()


@pytest.mark.slow
def test_train_refuses_a_run_that_has_checkpoints(trained) -> None:
    before = (trained.folder / "runs/first/summary.toml").read_bytes()
    result = trained.run("train", "--toml", "config.toml", "--name", "first")
    assert result.returncode == 2
    assert "resume" in result.stderr
    assert "--overwrite" in result.stderr
    assert (trained.folder / "runs/first/summary.toml").read_bytes() == before


@pytest.mark.slow
def test_continuing_and_overwriting_exclude_each_other(trained) -> None:
    words = ("train", "--toml", "config.toml", "--name", "first")
    result = trained.run(*words, "--continue", "--overwrite")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_overwrite_moves_the_old_run_aside(trained) -> None:
    trained.done(
        "train", "--toml", "config.toml", "--name", "first", "--overwrite",
        "--train.max_steps", "3",
    )  # fmt: skip
    names = {path.name for path in (trained.folder / "runs").iterdir()}
    assert names == {"first", "first.old-1"}
    summary = tomli.loads(
        (trained.folder / "runs/first/summary.toml").read_text("utf-8")
    )
    assert summary["outcome"]["steps"] == 3


@pytest.mark.slow
def test_evaluate_repeats_the_validation_of_the_summary(trained) -> None:
    printed = tomli.loads(trained.done("evaluate", "--name", "first"))["validation"]
    kept = tomli.loads((trained.folder / "runs/first/summary.toml").read_text("utf-8"))
    for key in ("loss", "perplexity", "bits_per_byte", "accuracy", "top_5_accuracy"):
        assert printed[key] == kept["validation"][key]
    assert printed["perplexity"] == pytest.approx(np.exp(printed["loss"]))
    on_test = tomli.loads(trained.done("evaluate", "--split", "test"))["test"]
    assert on_test["loss"] == kept["outcome"]["best_test_loss"]


@pytest.mark.slow
def test_evaluate_predicts_each_token_of_the_train_split_once(trained) -> None:
    printed = tomli.loads(trained.done("evaluate", "--split", "train"))["train"]
    (manifest,) = trained.folder.glob("encodings-*/manifest.json")
    train = json.loads(manifest.read_text("utf-8"))["splits"]["train"]
    assert printed["tokens"] == train["tokens"] - 1


@pytest.mark.slow
def test_evaluate_refuses_ids_of_another_tokenizer(trained) -> None:
    raw = trained.folder / "raw" / "train.txt"
    raw.write_text("quick brown foxes jump over lazy dogs " * 300, "utf-8")
    trained.done("clean", "tokenize", "encode", "--toml", "config.toml")
    result = trained.run("evaluate", "--name", "first")
    assert result.returncode == 2
    assert "another tokenizer" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
def test_a_warmup_that_never_ends_names_the_rate_that_is_reached(encoded) -> None:
    result = encoded.run(
        "train", "--toml", "config.toml", "--name", "short", "--train.max_steps", "4"
    )
    rows = (encoded.folder / "runs/short/steps.csv").read_text("utf-8").splitlines()
    rate = float(rows[-1].split(",")[5])
    assert f"will reach {rate:.3g} of 0.01" in result.stderr


def test_training_from_python_is_logged(encoded, monkeypatch) -> None:
    monkeypatch.chdir(encoded.folder)
    settings = slangmod.load_settings(
        "config.toml", {"train.max_steps": "2", "name": "python", "progress": "false"}
    )
    run = slangmod.train(settings)
    assert "validation of step 2" in (run.folder / "train.log").read_text("utf-8")


@pytest.mark.slow
def test_generate_writes_and_repeats_itself(trained) -> None:
    words = ("generate", "the cat", "--name", "first", "--chat.max_tokens", "12")
    first = trained.done(*words)
    assert first == trained.done(*words)
    assert "the cat" in first
    assert len(first) > len("the cat") + 3


@pytest.mark.slow
def test_chat_answers_and_keeps_its_history(trained) -> None:
    trained.done(
        "chat", "--name", "first", "--chat.max_tokens", "5", stdin="hello\nStop!\n"
    )
    (history,) = (trained.folder / "runs/first/chats").iterdir()
    turns = json.loads(history.read_text("utf-8"))
    assert "hello" in json.dumps(turns)


def test_summarize_is_json(trained) -> None:
    runs = json.loads(trained.done("summarize"))
    assert [run["name"] for run in runs] == ["first"]


@pytest.mark.slow
def test_equal_runs_have_equal_weights(trained) -> None:
    trained.done("train", "--toml", "config.toml", "--name", "second")
    paths = [
        trained.folder / "runs" / name / "model" / "model.safetensors"
        for name in ("first", "second")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.slow
def test_four_actions_in_one_line_are_the_four_one_by_one(shell, trained) -> None:
    shell.done(*PIPELINE, "--name", "first")
    model = "runs/first/model/model.safetensors"
    assert (shell.folder / model).read_bytes() == (trained.folder / model).read_bytes()


@pytest.mark.slow
def test_another_seed_gives_other_weights(trained) -> None:
    trained.done("train", "--toml", "config.toml", "--name", "second", "--seed", "5")
    one, other = (
        load_file(trained.folder / "runs" / name / "model" / "model.safetensors")
        for name in ("first", "second")
    )
    assert any((one[name] != other[name]).any() for name in one)
