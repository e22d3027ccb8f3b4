"""Weights spread over processes: what is learnt is what one process learns."""

import csv
import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from slangmod.training.checkpoint import checkpoint_path, list_checkpoints
from slangmod.training.parts import file_of
from tests.reliability.tiny import tiny, write_raw

STEPS = 50
FSDP = ("--parallel.strategy", "fsdp")
TOLERANCE = {"adamw": 1e-5, "adafactor": 1e-5, "muon": 1e-3}
"""Of losses, relative; muon's iteration runs in bfloat16."""


@pytest.fixture(scope="module")
def work(ranks, tmp_path_factory) -> Path:
    """A folder with encodings and settings, where runs can be trained."""
    folder = tmp_path_factory.mktemp("work")
    write_raw(folder / "raw", 3000, 300)
    (folder / "slangmod.toml").write_text(
        tiny(
            threads=1,
            model={"dim": 24, "n_layers": 2, "dropout": 0.0},
            train={
                "max_steps": STEPS,
                "max_epochs": 100,
                "step_freq": 2,
                "eval_freq": 20,
            },
            checkpoint={"keep": 9},
        )
    )
    ranks.done(1, folder, "clean", "tokenize", "encode")
    return folder


def column(work, run, name, table="steps"):
    """One column of a table, as numbers."""
    with (work / "runs" / run / f"{table}.csv").open(newline="") as file:
        return [float(row[name] or "nan") for row in csv.DictReader(file)]


def assert_same_losses(work, one, other, tolerance=1e-5):
    """Two runs have learnt the same, but for rounding."""
    for name, table in (
        ("loss", "steps"),
        ("grad_norm", "steps"),
        ("test_loss", "epochs"),
    ):
        wanted = column(work, one, name, table)
        close = 10 * tolerance if name == "grad_norm" else tolerance
        found = column(work, other, name, table)
        assert found == pytest.approx(wanted, close, nan_ok=True), name
    for name in ("step", "batch", "tokens", "learning_rate"):
        assert column(work, one, name) == column(work, other, name)


def last(work, run):
    """The newest checkpoint of a run."""
    return list_checkpoints(work / "runs" / run / "checkpoints")[0]


def content(path):
    """The bytes of all weights and moments of a checkpoint, whoever wrote it."""
    sets = ("model.safetensors", "optimizer.safetensors")
    return {name: b"".join(file_of(path, name)) for name in sets}


@pytest.fixture(scope="module")
def alone(ranks, work):
    """The run of one process with that optimizer, and that change of settings."""
    done = set()

    def trained(optimizer="adamw", *more):
        name = "-".join(("alone", optimizer, *more)).replace("--", "").replace(" ", "")
        name = "".join(sign for sign in name if sign.isalnum() or sign in "-.")[:60]
        if name not in done:
            argv = ("--name", name, "--train.optimizer", optimizer, *more)
            ranks.done(1, work, "train", *argv)
            done.add(name)
        return name

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("optimizer", TOLERANCE)
def test_losses_are_those_of_one_process(ranks, work, alone, optimizer, size):
    name = f"{optimizer}-{size}"
    argv = ("--name", name, "--train.optimizer", optimizer)
    ranks.done(size, work, "train", *argv, *FSDP)
    assert_same_losses(work, alone(optimizer), name, TOLERANCE[optimizer])


VARIANTS = {
    "recomputed": ("--train.activation_checkpointing", "true"),
    "output apart": ("--model.tie_embeddings", "false"),
    "learnt positions": ("--model.positions", "learnable"),
    "windows": ("--model.attention_window", "5"),
    "documents apart": ("--data.packing", "mask"),
    "rms": ("--model.norm_cls", "rms", "--model.qk_norm", "true"),
    "glu": ("--model.feedforward.flavor", "glu", "--model.logit_softcap", "9.0"),
    "average": ("--train.ema", "0.9"),
    "at rest": (
        *("--train.convergence_threshold", "1e-9"),
        *("--train.convergence_norm", "update"),
    ),
    "offloaded": ("--parallel.cpu_offload", "true"),
    "behind training": ("--checkpoint.background", "true"),
    "bfloat16": ("--data.precision", "bfloat16"),
}
"""Settings that have to do with how weights are held, or used."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_model_is_learnt_alike(ranks, work, alone, kind):
    more = (*VARIANTS[kind], "--train.max_steps", "12", "--checkpoint.every", "6")
    name = f"kind-{kind.replace(' ', '-')}"
    ranks.done(2, work, "train", "--name", name, *more, *FSDP)
    tolerance = 1e-2 if kind == "bfloat16" else 1e-5
    assert_same_losses(work, alone("adamw", *more), name, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", TOLERANCE)
def test_a_run_resumed_anywhere_ends_with_the_same_bits(ranks, work, optimizer):
    more = ("--train.optimizer", optimizer, "--train.ema", "0.9", *FSDP)
    steps = ("--train.max_steps", "20")
    ranks.done(2, work, "train", "--name", f"whole-{optimizer}", *more, *steps)
    wanted = content(last(work, f"whole-{optimizer}"))
    for stop in (1, 7, 13):
        name = f"resumed-{optimizer}-{stop}"
        first = ("--train.max_steps", str(stop))
        ranks.done(2, work, "train", "--name", name, *more, *first)
        ranks.done(2, work, "resume", "--name", name, *steps)
        assert content(last(work, name)) == wanted
        assert column(work, name, "loss") == column(
            work, f"whole-{optimizer}", "loss"
        )


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes_and_either_strategy(
    ranks, work, alone
):
    ranks.done(2, work, "train", "--name", "many", "--train.max_steps", "10", *FSDP)
    for size, steps, strategy in (
        (1, 20, "auto"),
        (4, 30, "fsdp"),
        (2, 40, "ddp"),
        (2, STEPS, "fsdp"),
    ):
        more = ("--train.max_steps", str(steps), "--parallel.strategy", strategy)
        ranks.done(size, work, "resume", "--name", "many", *more)
    assert_same_losses(work, alone(), "many")
    formats = [
        json.loads((path / "manifest.json").read_text())["format"]
        for path in list_checkpoints(work / "runs/many/checkpoints")
        if path.name.endswith(("10", "20", "30", "40", "50"))
    ]
    assert formats == [3, 2, 3, 2, 3]


@pytest.fixture(scope="module")
def of_four(ranks, work):
    """A run of four processes that has ended."""
    more = ("--train.max_steps", "8", *FSDP)
    ranks.done(4, work, "train", "--name", "four", *more)
    return work / "runs/four"


@pytest.mark.slow
def test_each_process_writes_only_its_rows(of_four):
    for path in list_checkpoints(of_four / "checkpoints"):
        for rank in range(1, 5):
            with safe_open(path / f"model-{rank:05d}-of-00004.safetensors", "pt") as f:
                shapes = {name: f.get_slice(name).get_shape() for name in f.keys()}  # noqa: SIM118
            whole = json.loads((path / "manifest.json").read_text())["tensors"]
            for name, known in whole["model.safetensors"]["tensors"].items():
                assert shapes[name][0] <= -(-known["shape"][0] // 4)


@pytest.mark.slow
def test_one_process_does_all_else_with_a_run_of_four(ranks, work, of_four):
    ranks.done(1, work, "verify", "--name", "four")
    ranks.done(1, work, "generate", "the cat", "--name", "four")
    ranks.done(1, work, "evaluate", "--name", "four")
    best = checkpoint_path(of_four / "checkpoints", 8)
    model = load_file(of_four / "model/model.safetensors")
    assert b"".join(file_of(best, "model.safetensors")) == b"".join(
        file_of(of_four / "model", "model.safetensors")
    )
    assert model["embedding.weight"].shape[1] == 24
    ranks.done(1, work, "resume", "--name", "four", "--train.max_steps", "10")


@pytest.mark.slow
def test_samples_are_those_of_one_process(ranks, work, alone):
    more = (
        *("--train.max_steps", "6", "--samples.every", "4"),
        *("--samples.max_tokens", "9", "--samples.prompts", '["the cat", "a"]'),
    )
    ranks.done(2, work, "train", "--name", "talks", *more, *FSDP)
    wanted = work / "runs" / alone("adamw", *more) / "samples.jsonl"
    assert (work / "runs/talks/samples.jsonl").read_text() == wanted.read_text()
    assert_same_losses(work, alone("adamw", *more), "talks")


@pytest.mark.slow
def test_moments_are_carried_from_stage_to_stage(ranks, work, alone):
    text = (work / "slangmod.toml").read_text()
    stages = "".join(
        f'\n[[stage]]\nmax_steps = {steps}\n[stage.train]\nlearning_rate = {rate}\n'
        for steps, rate in ((6, 0.01), (6, 0.005))
    )
    (work / "stages.toml").write_text(text + stages)
    more = ("--toml", "stages.toml")
    ranks.done(2, work, "train", "--name", "staged", *more, *FSDP)
    assert_same_losses(work, alone("adamw", *more), "staged")


@pytest.mark.slow
def test_what_needs_whole_weights_is_refused(ranks, work):
    argv = ("--name", "refused", "--train.optimizer", "bfgs", *FSDP)
    ended = ranks.command(2, work, "train", *argv)
    assert set(ended.codes) == {2}
    assert 'set parallel.strategy = "ddp"' in ended.told[0]
    assert not (work / "runs/refused").exists()
