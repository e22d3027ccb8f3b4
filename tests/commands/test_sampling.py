"""Samples while training: what they are, and that training does not notice them."""

import json
import logging
import shutil

import pytest
import torch

from slangmod.cli import main
from slangmod.commands import sampling
from slangmod.errors import StoppedError
from slangmod.training.trainer import Trainer
from tests.cases import mostly_slow

TEXT = "the cat sat on the mat and saw the dog that ran after a red ball. "
SETTINGS = """\
[files]
raw = "raw.txt"

[tokens]
algo = "byte"

[data]
seq_len = 16
precision = "float32"

[model]
dim = 16
n_heads = 2
n_layers = 1
context = 32
dropout = 0.2
compile = false

[train]
batch_size = 4
step_freq = 2
max_epochs = 5
max_steps = 20
warmup = 5
learning_rate = 0.01
eval_freq = 15

[checkpoint]
keep = 50
every = 12
"""
SAMPLES = """
[samples]
every = 7
prompts = ["", "the cat"]
max_tokens = 40

[chat]
generator = "top_p"
"""


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A folder that is ready to train."""
    folder = tmp_path_factory.mktemp("encoded")
    (folder / "raw.txt").write_text(TEXT * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "slangmod.toml").write_text(SETTINGS)
        assert main(["clean", "tokenize", "encode"]) == 0
    return folder


@pytest.fixture
def here(encoded, tmp_path, monkeypatch):
    """A copy of it as the current folder."""
    folder = tmp_path / "work"
    shutil.copytree(encoded, folder)
    monkeypatch.chdir(folder)
    (folder / "sampled.toml").write_text(SETTINGS + SAMPLES)
    return folder


def samples_of(run):
    return [json.loads(line) for line in (run / "samples.jsonl").open()]


def rows_without_speed(path):
    return [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()]


def weights_and_moments(run):
    return {
        path.relative_to(run): path.read_bytes()
        for path in sorted(run.rglob("*.safetensors"))
    }


def test_training_does_not_notice_that_samples_are_written(here):
    assert main(["train", "--name", "plain"]) == 0
    assert main(["train", "--name", "sampled", "--toml", "sampled.toml"]) == 0
    plain, sampled = here / "runs/plain", here / "runs/sampled"
    assert not (plain / "samples.jsonl").exists()
    assert len(samples_of(sampled)) == 2 * (40 // 7)
    for table in ("steps.csv", "epochs.csv"):
        assert rows_without_speed(plain / table) == rows_without_speed(sampled / table)
    left, right = weights_and_moments(plain), weights_and_moments(sampled)
    assert len(left) > 10
    assert left == right


@pytest.mark.slow
def test_compiled_training_does_not_notice_either(here):
    # So long a training pays for compiling; patience_steps ends it soon.
    long = ["--train.max_epochs", "1000000", "--train.max_steps", "none"]
    more = [*long, "--train.patience_steps", "20", "--train.patience_increase", "1"]
    for name, file in (("plain", "slangmod.toml"), ("sampled", "sampled.toml")):
        given = ["--name", name, "--toml", file, "--model.compile", "true", *more]
        assert main(["train", *given]) == 0
    plain, sampled = here / "runs/plain", here / "runs/sampled"
    assert "compiled = true" in (plain / "summary.toml").read_text()
    assert len(samples_of(sampled)) > 4
    assert weights_and_moments(plain) == weights_and_moments(sampled)


def test_a_sample_says_when_and_from_what_it_was_written(here, caplog):
    with caplog.at_level(logging.INFO, "slangmod"):
        assert main(["train", "--name", "sampled", "--toml", "sampled.toml"]) == 0
    found = samples_of(here / "runs/sampled")
    # After the step of two mini-batches in which the 7th, 14th ... 35th was done.
    assert [one["step"] for one in found[::2]] == [4, 7, 11, 14, 18]
    assert {one["prompt"] for one in found} == {"", "the cat"}
    rows = (here / "runs/sampled/steps.csv").read_text().splitlines()[1:]
    # The row of a mini-batch that ends no step has the step before.
    tokens = {row.split(",")[0]: int(row.split(",")[3]) for row in reversed(rows)}
    assert all(one["tokens"] == tokens[str(one["step"])] for one in found)
    assert all(one["text"] for one in found)
    lines = [text for text in caplog.messages if text.startswith("sample at step")]
    assert len(lines) == len(found)
    assert (here / "runs/sampled/train.log").read_text().count("sample at step 4:") == 2


@pytest.mark.parametrize("stop", mostly_slow([4, 13], [13]))
def test_a_resumed_run_ends_with_the_same_samples(here, monkeypatch, stop):
    (here / "sampled.toml").write_text(
        SETTINGS.replace("keep = 50", "keep = 2") + SAMPLES
    )
    assert main(["train", "--name", "whole", "--toml", "sampled.toml"]) == 0
    taken = Trainer.take_step

    def breaking(self, state, *others):
        if state.counters.step == stop:
            raise StoppedError("killed", 75)
        taken(self, state, *others)

    monkeypatch.setattr(Trainer, "take_step", breaking)
    assert main(["train", "--name", "parts", "--toml", "sampled.toml"]) == 75
    monkeypatch.setattr(Trainer, "take_step", taken)
    assert main(["resume", "--name", "parts"]) == 0
    whole, parts = here / "runs/whole", here / "runs/parts"
    assert (whole / "samples.jsonl").read_bytes() == (
        parts / "samples.jsonl"
    ).read_bytes()
    assert (whole / "model/model.safetensors").read_bytes() == (
        parts / "model/model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("generator", ["greedy", "beamsearch"])
def test_every_generator_can_write_them(here, generator):
    more = ["--chat.generator", generator, "--train.max_steps", "4"]
    assert main(["train", "--name", "x", "--toml", "sampled.toml", *more]) == 0
    assert len(samples_of(here / "runs/x")) == 2


def test_a_sample_that_fails_does_not_stop_training(here, monkeypatch, caplog):
    def failing(chat, seed, model, end):
        model.eval()
        torch.rand(1)
        raise RuntimeError("out of memory")

    assert main(["train", "--name", "plain"]) == 0
    monkeypatch.setattr(sampling, "seeded_generator", failing)
    assert main(["train", "--name", "sampled", "--toml", "sampled.toml"]) == 0
    assert "no sample this time: out of memory" in caplog.text
    left, right = here / "runs/plain", here / "runs/sampled"
    assert weights_and_moments(left) == weights_and_moments(right)


def test_a_tokenizer_that_is_swapped_meanwhile_writes_no_sample(here, monkeypatch):
    """Each stage has a writer of its own."""
    stages = "[[stage]]\nepochs = 1\n[[stage]]\nepochs = 1\n"
    settings = SETTINGS.replace("max_epochs = 5\n", "") + SAMPLES + stages
    (here / "staged.toml").write_text(settings)
    assert main(["train", "--name", "plain", "--toml", "staged.toml"]) == 0
    taken = Trainer.take_step

    def swapping(self, state, *others):
        taken(self, state, *others)
        for path in here.glob("tokenizer-*.json"):
            path.write_text("{}")

    monkeypatch.setattr(Trainer, "take_step", swapping)
    assert main(["train", "--name", "swapped", "--toml", "staged.toml"]) == 0
    assert samples_of(here / "runs/swapped") == samples_of(here / "runs/plain")
