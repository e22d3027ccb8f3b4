"""Weights spread over processes: what is learnt is what one process learns."""

import json
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors import safe_open

from slangmod.training.trainer import Trainer
from tests.parallel.spreading import FSDP, MODEL, OPTIMIZER, content, last, spread
from tests.parallel.yard import Yard, assert_alike, assert_close, hook, rows

STOPPED = "signal after step"
TOLERANCE = {"adamw": 1e-5, "adafactor": 1e-5, "muon": 1e-3}
"""Of losses, relative; muon's iteration runs in bfloat16."""


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("config", TOLERANCE)
def test_losses_are_those_of_one_process(yard: Yard, config, size) -> None:
    alone = yard.whole(config, 0)
    assert len(rows(alone)) >= 50
    assert_alike(alone, spread(yard, config, size), TOLERANCE[config])


VARIANTS = {
    "recomputed": "train.activation_checkpointing = true",
    "an output apart": "model.tie_embeddings = false",
    "learnt positions": 'model.positions = "learnable"',
    "windows": "model.attention_window = 5",
    "documents apart": 'data.packing = "mask"',
    "rms": 'model.norm_cls = "rms"\nmodel.qk_norm = true\nmodel.n_kv_heads = 1',
    "glu": 'model.feedforward.flavor = "glu"\nmodel.logit_softcap = 9.0',
    "average": "train.ema = 0.9",
    "at rest": 'train.convergence_threshold = 1e-9\ntrain.convergence_norm = "update"',
    "offloaded": "parallel.cpu_offload = true",
    "behind training": "checkpoint.background = true",
    "bfloat16": 'data.precision = "bfloat16"',
    "samples": 'samples = {every = 4, max_tokens = 9, prompts = ["a", "the cat"]}',
    "accumulated": "train.step_freq = 3",
}
"""Settings that have to do with how weights are held, or used."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_model_is_learnt_alike(yard: Yard, kind) -> None:
    name = f"kind-{kind.replace(' ', '-')}"
    yard.add(name, f"{VARIANTS[kind]}\ntrain.max_steps = 12\ncheckpoint.every = 5\n")
    one, several = yard.whole(name, 0), spread(yard, name, 2)
    assert_alike(one, several, 1e-2 if kind == "bfloat16" else 1e-5)
    if kind == "average":
        tables = (rows(run, "epochs") for run in (one, several))
        assert_close(*([row["ema_test_loss"] for row in t] for t in tables), 1e-5)
    if kind == "samples":
        left, right = ((run / "samples.jsonl").read_text() for run in (one, several))
        assert left == right
        assert left


@pytest.mark.slow
def test_auto_takes_fsdp_where_memory_is_short_and_a_run_keeps_it(yard: Yard) -> None:
    name = yard.new("auto")
    short = "import {0} as m; m.free_bytes; m.free_bytes = lambda _: 1 << 18\n"
    places = ("slangmod.commands.strategy", "slangmod.commands.fitting")
    tight = "".join(map(short.format, places))
    words = yard.train("bits", name, "--train.max_steps", "8")
    yard.done(2, *words, before=tight)
    log = (yard.run(name) / "train.log").read_text("utf-8")
    assert 'parallel.strategy = "auto" is fsdp: with ddp each device would hold' in log
    yard.done(2, "resume", "--name", name, "--train.max_steps", "14")
    wanted = spread(yard, "bits", 2)
    assert content(last(yard.run(name))) == content(last(wanted))
    assert len(list(last(yard.run(name)).glob("model-*"))) == 2


@pytest.mark.slow
def test_a_process_may_be_left_without_rows(yard: Yard) -> None:
    yard.add("few-rows", "model.dim = 6\ntrain.max_steps = 12\ntrain.ema = 0.9\n")
    assert_alike(yard.whole("few-rows", 0), spread(yard, "few-rows", 4), 1e-5)


@pytest.mark.slow
def test_a_run_begins_with_the_weights_of_another(yard: Yard) -> None:
    start = yard.whole("adamw", 0)
    text = f'base = "adamw.toml"\ntrain.init_from = "{start}"\ntrain.max_steps = 6\n'
    (yard.folder / "from-other.toml").write_text(text, "utf-8")
    assert_alike(yard.whole("from-other", 0), spread(yard, "from-other", 2), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("config", ["bits", "stages"])
def test_a_run_resumed_anywhere_has_the_same_bits(yard: Yard, config, size) -> None:
    for step in (1, 4, 9):
        name = yard.new("spread")
        before = hook(STOPPED, step, rank=size - 1)
        spread(yard, config, size)
        begun = yard.train(f"{config}-fsdp", name)
        ended = yard.tries(size, *begun, before=before)
        assert ended.codes == [75] * size, ended.errors
        yard.done(size, "resume", "--name", name)
        yard.compare(spread(yard, config, size), name, stopped=True)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["adafactor", "muon"])
def test_moments_of_whole_matrices_are_resumed_with_the_same_bits(
    yard: Yard, config
) -> None:
    name = yard.new("moments")
    wanted = spread(yard, config, 2)
    begun = yard.train(f"{config}-fsdp", name, "--train.max_steps", "7")
    yard.done(2, *begun)
    yard.done(2, "resume", "--name", name, "--train.max_steps", "50")
    for kind in (MODEL, OPTIMIZER):
        assert content(last(yard.run(name)), kind) == content(last(wanted), kind)


@pytest.mark.slow
@pytest.mark.parametrize("config", TOLERANCE)
def test_a_run_goes_on_with_any_number_and_either_strategy(yard: Yard, config) -> None:
    name, formats = yard.new("moving"), []
    for size, steps, strategy in (
        (2, 8, "fsdp"),
        (0, 16, "auto"),
        (4, 24, "fsdp"),
        (2, 32, "ddp"),
        (2, 50, "fsdp"),
    ):
        begins = yard.train(config, name), ("resume", "--name", name)
        more = ("--train.max_steps", str(steps), "--parallel.strategy", strategy)
        words = (*begins[steps > 8], *more)
        if size:
            yard.done(size, *words)
        else:
            assert yard.alone(*words) == 0
        assert yard.newest(name) == f"step-{steps:09d}"
        manifest = json.loads((last(yard.run(name)) / "manifest.json").read_text())
        formats.append(manifest["format"])
    assert formats == [3, 2, 3, 2, 3]
    assert_alike(yard.whole(config, 0), yard.run(name), TOLERANCE[config])


COUNT = """
from tests.parallel import test_fsdp
test_fsdp.count_scatters()
"""


def count_scatters() -> None:
    """Write down, for each optimizer step, the bytes that were summed and scattered."""
    found: list[int] = []
    steps: list[int] = []
    taken = Trainer.take_step

    def counted(scatter):
        def call(*args, **words):
            tensors = [one for one in (*args, *words.values()) if torch.is_tensor(one)]
            found.append(max(one.numel() * one.element_size() for one in tensors))
            return scatter(*args, **words)

        return call

    def take_step(self, state, *others) -> None:
        found.clear()
        taken(self, state, *others)
        steps.append(sum(found))
        weights = sum(weight.numel() for weight in state.model.parameters())
        text = json.dumps({"weights": weights, "steps": steps})
        Path(f"scattered-{os.environ['RANK']}.json").write_text(text, "utf-8")

    # Torch has changed the name.
    for name in ("reduce_scatter_single", "reduce_scatter_tensor"):
        if hasattr(dist, name):
            setattr(dist, name, counted(getattr(dist, name)))
    Trainer.take_step = take_step


@pytest.mark.slow
def test_gradients_are_scattered_once_in_an_optimizer_step(yard: Yard) -> None:
    spread(yard, "bits", 2)
    name = yard.new("scattered")
    more = ("--train.max_steps", "6", "--train.step_freq", "3")
    yard.done(2, *yard.train("bits-fsdp", name, *more), before=COUNT)
    for rank in (0, 1):
        told = json.loads((yard.folder / f"scattered-{rank}.json").read_text())
        assert len(told["steps"]) == 6
        # Rows that two do not share evenly are filled up.
        assert all(1 <= one / (4 * told["weights"]) < 1.01 for one in told["steps"])


@pytest.mark.slow
def test_each_process_writes_only_its_rows(yard: Yard) -> None:
    path = last(spread(yard, "bits", 4))
    index = json.loads((path / "manifest.json").read_text())["tensors"]
    assert len(index) == 3  # with the average
    for name, known in index.items():
        for file in known["files"]:
            with safe_open(path / file, "pt") as part:
                shapes = {key: part.get_slice(key).get_shape() for key in part.keys()}  # noqa: SIM118
            for key, tensor in known["tensors"].items():
                if tensor["shape"]:
                    assert shapes[key][0] <= -(-tensor["shape"][0] // 4), (name, key)


@pytest.mark.slow
def test_one_process_does_all_else_with_a_run_of_four(yard: Yard, capsys) -> None:
    run = spread(yard, "bits", 4)
    name = yard.new("four")
    yard.done(4, *yard.train("bits-fsdp", name))
    assert yard.alone("verify", "--name", name) == 0
    assert yard.alone("evaluate", "--name", name) == 0
    assert yard.alone("generate", "the cat", "--name", name) == 0
    assert content(run / "model") == content(yard.run(name) / "model")
    assert yard.alone("resume", "--name", name, "--train.max_steps", "16") == 0
    assert capsys.readouterr().out


@pytest.mark.slow
def test_what_needs_whole_weights_is_refused(yard: Yard) -> None:
    for word in ("bfgs", "torch.optim:RAdam"):
        name = yard.new("refused")
        more = ("--train.optimizer", word, *FSDP)
        ended = yard.tries(2, *yard.train("adamw", name, *more))
        assert ended.codes == [2, 2]
        assert 'set parallel.strategy = "ddp"' in ended.told[0]
        assert not yard.run(name).exists()
