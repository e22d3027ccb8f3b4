"""What is not finite never reaches the weights, and is kept to be looked at."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import tomli
import torch
from safetensors.torch import load_file

from slangmod.commands import going_on
from slangmod.commands.bad_steps import pinned_steps
from slangmod.errors import RunError
from slangmod.runs.directory import RunDir
from slangmod.training.chance import seed_batch
from slangmod.training.checkpoint import load_checkpoint
from slangmod.training.course import Rules
from slangmod.training.events import BadStep
from slangmod.training.guard import Guard
from tests.reliability.guarded import HARMS, Harm, Lab, bits_of, rows
from tests.training.conftest import Bench

STEPS = 22
CHANGE = {
    "train": {"max_steps": STEPS, "ema": 0.9, "cb_freq": 3, "eval_freq": 8},
    "model": {"dropout": 0.1},
    "checkpoint": {"every": 1000},
}


@pytest.fixture
def poisoned(tiny, token_file, tmp_path, monkeypatch) -> Callable[..., Bench]:
    """``poisoned({3: harm}, max_skips=2)``: a run, some of whose losses are harmed."""
    ids = token_file(size=400, vocab=11)
    monkeypatch.setattr("os.fsync", lambda _: None)
    count = 0

    def make(harm: dict[int, Harm], max_skips: int, **train: object) -> Bench:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        change = {**CHANGE, "train": {**CHANGE["train"], **train}}
        run = Bench(tiny(**change), ids, folder)
        plain, seed, position = run.objective, run.settings.seed, -1

        def seed_chance(now: int) -> None:
            nonlocal position
            position = now
            seed_batch(seed, now)

        def harmed(inputs, targets):
            return harm.get(position, lambda loss: loss)(plain(inputs, targets))

        run.objective = harmed
        trainer = replace(
            run.trainer(), seed_chance=seed_chance, rules=Rules(max_skips)
        )
        run.trainer = lambda: trainer
        return run

    return make


@pytest.fixture
def decided_on_the_device(monkeypatch) -> None:
    """The fused optimizer decides, as on a GPU; here the CPU plays that part."""
    made = Guard.__init__

    def on_device(self: Guard, *args: object) -> None:
        made(self, *args)
        self.on_device = True

    monkeypatch.setattr(Guard, "__init__", on_device)


def all_of(run: Bench) -> dict[str, torch.Tensor]:
    """Weights, their average, and moments."""
    moments = {
        f"{index}/{key}": torch.as_tensor(value)
        for index, entries in run.state.optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }
    average = {f"average/{name}": w for name, w in run.state.average.weights.items()}
    return {**run.state.model.state_dict(), **average, **moments}


def same(one: Bench, other: Bench) -> bool:
    a, b = all_of(one), all_of(other)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def without_update(poisoned, steps: set[int], monkeypatch, **train: object) -> Bench:
    """A run that nothing harms, whose optimizer takes all steps but those."""
    taken = Guard.take_step

    def but(self: Guard, result, note) -> None:
        if note.step not in steps:
            taken(self, result, note)

    run = poisoned({}, 0, **train)
    with monkeypatch.context() as patch:
        patch.setattr(Guard, "take_step", but)
        run.fit()
    return run


def stops_and_skips(poisoned, monkeypatch, where: range | tuple[int, ...]) -> int:
    """Poison each of those mini-batches in each way; -> trials."""
    trials = 0
    for j in where:
        reference = without_update(poisoned, {j + 1}, monkeypatch)
        for name, harm in HARMS.items():
            stopped = poisoned({j: harm}, 0)
            with pytest.raises(RunError, match=rf"step {j + 1} \(mini-batch {j + 1}\)"):
                stopped.fit()
            assert all(tensor.isfinite().all() for tensor in all_of(stopped).values())
            (bad,) = (event for event in stopped.told if isinstance(event, BadStep))
            assert (bad.step, bad.begin) == (j + 1, j)
            assert not all(map(math.isfinite, (*bad.losses, bad.grad_norm)))
            skipped = poisoned({j: harm}, 1)
            skipped.fit()
            assert same(skipped, reference), (j, name)
            assert skipped.state.course.skipped == 1
            assert skipped.state.sums.isfinite().all()
            assert all(map(math.isfinite, (row.train_loss for row in skipped.epochs)))
            trials += 2
    return trials


def test_a_poisoned_mini_batch_is_refused_or_left_out(
    poisoned, monkeypatch, promise
) -> None:
    promise("R10", stops_and_skips(poisoned, monkeypatch, (19,)))


def test_a_poisoned_mini_batch_is_refused_or_left_out_by_the_device(
    poisoned, monkeypatch, promise, decided_on_the_device
) -> None:
    promise("R10", stops_and_skips(poisoned, monkeypatch, (7,)))


@pytest.mark.slow
def test_any_poisoned_mini_batch_is_refused_or_left_out(
    poisoned, monkeypatch, promise
) -> None:
    promise("R10", stops_and_skips(poisoned, monkeypatch, range(20)))


@pytest.mark.slow
def test_any_poisoned_mini_batch_is_refused_or_left_out_by_the_device(
    poisoned, monkeypatch, promise, decided_on_the_device
) -> None:
    promise("R10", stops_and_skips(poisoned, monkeypatch, range(20)))


def test_one_poisoned_mini_batch_leaves_out_its_whole_step(
    poisoned, monkeypatch, promise
) -> None:
    reference = without_update(poisoned, {3}, monkeypatch, step_freq=3)
    for position in (6, 7, 8):
        run = poisoned({position: HARMS["nan loss"]}, 1, step_freq=3, cb_freq=1)
        run.fit()
        assert same(run, reference)
        empty = [row.batch for row in run.steps if row.loss is None]
        assert empty == [7, 8, 9]
    promise("R10", 3)


def test_so_many_bad_steps_in_a_row_are_left_out_and_no_more(poisoned, promise) -> None:
    harm = dict.fromkeys((4, 5, 6, 10, 11, 12), HARMS["nan loss"])
    run = poisoned(harm, 3)
    run.fit()
    assert run.state.course.skipped == 6
    again = poisoned(harm, 2)
    with pytest.raises(RunError, match=r"step 7 .* after 2 that were left out"):
        again.fit()
    assert [event.step for event in again.told if isinstance(event, BadStep)] == [
        *(5, 6, 7),
    ]
    promise("R10", 2)


def test_the_device_leaves_out_no_more_either(
    poisoned, promise, decided_on_the_device
) -> None:
    test_so_many_bad_steps_in_a_row_are_left_out_and_no_more(poisoned, promise)


def test_the_device_and_the_host_tell_the_same(poisoned, monkeypatch, request) -> None:
    harm = dict.fromkeys((4, 5, 13), HARMS["infinite gradient"])
    host = poisoned(harm, 2)
    host.fit()
    request.getfixturevalue("decided_on_the_device")
    device = poisoned(harm, 2)
    device.fit()
    assert same(host, device)
    for kind in ("steps", "epochs"):
        assert getattr(host, kind) == getattr(device, kind)
    assert host.state.course == device.state.course


SKIP = ("--guard.non_finite", "skip")


def test_a_run_that_leaves_steps_out_resumes_to_the_same_bits(
    lab: Lab, promise
) -> None:
    lab.harm = dict.fromkeys((22, 24, 26, 60), HARMS["nan loss"])
    text = (lab.folder / "config.toml").read_text("utf-8")
    (lab.folder / "config.toml").write_text(text + 'non_finite = "skip"\n', "utf-8")
    assert lab.train("whole") == 0
    whole = bits_of(lab.root("whole"))
    assert lab.outcome("whole")["skipped_steps"] == 4
    lab.stopped_at("parts", 13)  # with two left out in a row
    assert lab.resume("parts") == 0
    assert bits_of(lab.root("parts")) == whole
    promise("R10", 1)


def test_bad_steps_in_a_row_are_counted_across_a_resume(lab: Lab, promise) -> None:
    lab.harm = dict.fromkeys((22, 24, 26), HARMS["nan loss"])
    two = (*SKIP, "--guard.max_skips", "2")
    assert lab.train("run", *two, "--train.max_steps", "13") == 0
    assert lab.resume("run", "--train.max_steps", "none", *two) == 1
    assert lab.resume("run", "--train.max_steps", "none", "--guard.max_skips", "3") == 0
    promise("R10", 1)


def test_a_bad_step_is_kept_and_can_be_replayed(lab: Lab, capsys, promise) -> None:
    lab.harm = {23: HARMS["nan loss"]}
    assert lab.train("run") == 1
    error = capsys.readouterr().err
    assert "step 12 (mini-batch 24)" in error
    assert "slangmod replay --step 12" in error
    about = json.loads((lab.root("run") / "bad/step-000000012.json").read_text("utf-8"))
    assert (about["step"], about["epoch"], about["seed"]) == (12, 1, 100)
    assert (about["loss"], about["grad_norm"], about["left_out"]) == (
        "nan",
        "nan",
        False,
    )
    assert about["checkpoint"] == "step-000000011"
    assert [batch["position"] for batch in about["batches"]] == [22, 23]
    first, second = about["batches"]
    assert math.isfinite(first["loss"])
    assert second["loss"] == "nan"
    tensors = load_file(lab.root("run") / "bad/step-000000012.safetensors")
    assert tensors["inputs"].shape == tensors["targets"].shape == (2, 8, 16)

    assert lab.run("replay", "--name", "run") == 0
    tables = tomli.loads(capsys.readouterr().out)
    assert (tables["step"], tables["checkpoint"]) == (12, "step-000000011")
    assert math.isnan(tables["loss"])
    assert tables["batch"][0]["loss"] == first["loss"]
    assert math.isnan(tables["batch"][1]["loss"])
    assert tables["batch"][0]["gradient_norm"] > 0
    rows_now = [row["number"] for row in tables["batch"][1]["row"]]
    assert rows_now == second["rows"]
    corpus = (lab.folder / "raw/train.txt").read_text("utf-8")
    assert tables["batch"][1]["row"][0]["text"] in corpus
    promise("R10", 1)


def test_a_bad_step_can_be_replayed_however_long_ago_it_was(lab: Lab, capsys) -> None:
    """The last of them: what it is repeated from stays."""
    lab.harm = dict.fromkeys((21, 36, 52), HARMS["nan loss"])
    words = ("--guard.on_spike", "report", "--train.patience", "none")
    assert lab.train("run", "--guard.non_finite", "skip", *words) == 0
    bad = sorted(lab.root("run").glob("bad/*.json"))
    named = [json.loads(path.read_text("utf-8"))["checkpoint"] for path in bad]
    assert len(set(named)) == 3
    there = {path.name for path in (lab.root("run") / "checkpoints").iterdir()}
    assert there.issuperset(named[1:])
    assert named[0] not in there
    assert lab.run("replay", "--name", "run") == 0
    assert lab.run("replay", "--name", "run", "--step", bad[1].stem[5:]) == 0


def test_a_record_that_is_damaged_keeps_nothing(tmp_path) -> None:
    run = RunDir(tmp_path)
    run.bad_steps.mkdir()
    wrong = ("", "[]", '{"checkpoint": null}', '{"checkpoint": "step-000000003"}')
    found = []
    for number, text in enumerate(wrong):
        path = run.bad_steps / f"step-{number:09d}.json"
        path.write_text(text, "utf-8")
        found.append(pinned_steps(run) - {-1})
    assert found == [set(), set(), set(), {3}]


def test_a_replay_takes_the_steps_that_the_run_took(lab: Lab, capsys) -> None:
    lab.harm = {43: HARMS["nan loss"]}
    assert lab.train("run", *SKIP, "--train.max_steps", "30") == 0
    table = {int(row[2]): row for row in rows(lab.root("run") / "steps.csv")}
    capsys.readouterr()
    assert lab.run("replay", "--name", "run", "--step", "30") == 0
    replayed = tomli.loads(capsys.readouterr().out)
    last = replayed["batch"][-1]
    assert float(table[last["position"] + 1][4]) == last["loss"]
    assert float(table[last["position"] + 1][6]) == pytest.approx(
        replayed["gradient_norm"], rel=1e-5
    )


def test_a_step_that_cannot_be_replayed_is_refused(lab: Lab, capsys) -> None:
    few = ("--train.max_steps", "30", "--checkpoint.keep", "1")
    assert lab.train("run", *few, "--guard.on_spike", "report") == 0
    for words, said in (
        (("--step", "0"), "give the number of an optimizer step"),
        (("--step", "x"), "give the number of an optimizer step"),
        (("--step", "1"), "no sound checkpoint from before step 1"),
        ((), "no step was bad there"),
    ):
        capsys.readouterr()
        assert lab.run("replay", "--name", "run", *words) == 2
        assert said in capsys.readouterr().err


def test_a_replay_says_where_numbers_cease_to_be_finite(lab: Lab, capsys) -> None:
    assert lab.train("run", "--train.max_steps", "9") == 0

    def broken(path, state) -> None:
        load_checkpoint(path, state)
        layer = next(name for name, _ in state.model.named_modules() if "feed" in name)
        with torch.no_grad():
            weight = next(state.model.get_submodule(layer).parameters())
            weight.view(-1)[0] = math.inf

    lab.patch.setattr(going_on, "load_checkpoint", broken)
    capsys.readouterr()
    assert lab.run("replay", "--name", "run", "--step", "8") == 0
    tables = tomli.loads(capsys.readouterr().out)
    assert "feed" in tables["batch"][0]["first_output_not_finite"]
    assert tables["gradients_not_finite"]
