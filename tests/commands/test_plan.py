import json

import pytest

from slangmod.cli import main
from slangmod.commands.plan_devices import Wish, wish_of
from slangmod.settings.schedules import build_schedule
from slangmod.settings.tensors import count_parameters

FILE = """
workdir = "{workdir}"
[tokens]
algo = "byte"
[data]
seq_len = 8
precision = "float32"
[model]
dim = 16
n_heads = 2
n_layers = 1
context = 16
compile = false
[train]
batch_size = 4
max_steps = 12
warmup = 3
"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(FILE.format(workdir=tmp_path.as_posix()))
    return path


def planned(capsys, toml, *words):
    assert main(["plan", "--toml", str(toml), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def page_of(capsys, toml, *words):
    assert main(["plan", "--toml", str(toml), *words]) == 0
    return capsys.readouterr().out


def encoded(tmp_path, toml):
    raw = tmp_path / "raw"
    raw.mkdir()
    for split, size in (("train", 700), ("test", 90), ("validation", 90)):
        (raw / f"{split}.txt").write_text("some text. " * (size // 11))
    actions = ["clean", "tokenize", "encode", "--toml", str(toml)]
    assert main([*actions, "--files.raw", str(raw), "--log_level", "error"]) == 0


def test_all_numbers_are_told_and_nothing_is_written(capsys, tmp_path, toml):
    before = sorted(tmp_path.rglob("*"))
    plan = planned(capsys, toml)
    assert sorted(tmp_path.rglob("*")) == before
    assert plan["vocab"] == 257
    assert (plan["steps"], plan["tokens"]) == (12, 12 * 4 * 8)
    assert plan["learning_rates"][2] == 0.001
    assert sum(plan["parameters"].values()) == 2 * plan["parameters"]["total"]
    parts = plan["memory"]
    assert parts["measured"] == parts["peak"] >= parts["process"] > 1 << 20
    assert plan["seconds"]["training"] > 0
    assert plan["stages"][0]["seconds_per_step"] > 0
    assert plan["flops"]["total"] == 12 * 4 * 8 * plan["flops"]["of_token"]
    assert plan["compiled"] is False


def test_without_calibration_memory_is_still_estimated(capsys, toml):
    plan = planned(capsys, toml, "--no-calibration")
    parts = dict(plan["memory"])
    assert plan["seconds"] is None
    assert parts.pop("measured") is None
    peak, estimate = parts.pop("peak"), parts.pop("estimate")
    assert peak == estimate == sum(parts.values())


def test_the_data_say_how_long_training_is(capsys, tmp_path, toml):
    encoded(tmp_path, toml)
    words = ["--no-calibration", "--train.max_steps", "none", "--train.max_epochs", "3"]
    plan = planned(capsys, toml, *words)
    assert plan["data_at_hand"]
    assert plan["epochs"] == 3
    assert plan["steps"] == plan["mini_batches"] == plan["evaluations"][-1]
    assert len(plan["evaluations"]) == 3
    assert len(plan["learning_rates"]) == plan["steps"]


def test_where_the_end_is_not_known_it_says_what_is_missing(capsys, toml):
    words = ["--no-calibration", "--train.max_steps", "none"]
    plan = planned(capsys, toml, *words)
    assert plan["steps"] is None
    assert "slangmod encode" in plan["warnings"][0]
    page = page_of(capsys, toml, *words)
    assert "not known" in page
    assert "slangmod encode" in " ".join(page.split())


def test_a_warmup_that_never_ends_is_warned_of(capsys, toml):
    (warning,) = planned(capsys, toml, "--no-calibration", "--train.warmup", "99")[
        "warnings"
    ]
    assert "longer than the planned 12 mini-batches" in warning


def test_each_stage_has_its_steps_and_rates(capsys, toml):
    with toml.open("a") as file:
        for steps, rate in ((5, 0.01), (4, 0.02)):
            file.write(f"[[stage]]\nsteps = {steps}\ntrain.learning_rate = {rate}\n")
    plan = planned(capsys, toml, "--no-calibration")
    assert [stage["steps"] for stage in plan["stages"]] == [5, 4]
    rates = plan["learning_rates"]
    assert (rates[2], rates[5 + 2]) == (0.01, 0.02)
    page = page_of(capsys, toml, "--no-calibration")
    assert "stage 2" in page
    assert any(line.split()[0] == "stage" for line in page.splitlines() if line.split())


@pytest.mark.parametrize("columns", [80, 100])
def test_the_page_fits_the_terminal(capsys, toml, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    with toml.open("a") as file:
        file.write(f"[[stage]]\nname = '{'n' * 64}'\nsteps = 9\n")
    page = page_of(capsys, toml, "--train.warmup", "99")
    assert max(map(len, page.splitlines())) <= columns
    for word in ("model", "training", "rate", "compute", "memory", "time", "warning"):
        assert any(line.startswith(word) for line in page.splitlines())


def test_the_rates_are_those_of_the_schedule(capsys, toml):
    from slangmod.settings.load import load_settings

    settings = load_settings(toml)
    schedule = build_schedule(settings)
    plan = planned(capsys, toml, "--no-calibration")
    assert plan["learning_rates"] == [0.001 * schedule(t) for t in range(12)]
    count = count_parameters(settings.model, 257)
    assert plan["parameters"]["total"] == count


def test_no_step_is_tried_that_would_not_fit(capsys, toml, monkeypatch):
    monkeypatch.setattr("slangmod.commands.trial.free_bytes", lambda _: 1)
    assert main(["plan", "--toml", str(toml)]) == 0
    told = capsys.readouterr()
    assert "no steps are tried" in told.err
    assert "not known: no steps were tried" in told.out


def test_for_several_devices_it_says_what_each_holds_sends_and_does(capsys, toml):
    words = ["--devices", "4", "--device-memory", "10", "--bandwidth", "2"]
    plan = planned(capsys, toml, *words)
    devices, parameters = plan["devices"], plan["parameters"]["total"]
    assert (devices["number"], devices["rows_of_each"]) == (4, 1)
    assert devices["available_bytes_of_each"] == 9 * 10**9
    assert (devices["bandwidth"], devices["bandwidth_is"]) == (2e9, "given")
    assert devices["strategy"] == "ddp"
    ddp, fsdp = devices["strategies"]["ddp"], devices["strategies"]["fsdp"]
    assert ddp["moved_bytes_per_step"] == 2 * 3 / 4 * 4 * parameters
    assert fsdp["moved_bytes_per_step"] < 3 * 3 / 4 * 4 * parameters
    assert fsdp["moved_bytes_per_step"] > 2 * 3 / 4 * 4 * parameters
    for one in (ddp, fsdp):
        parts = one["divided"] + one["gathered"] + one["activations"]
        assert one["bytes"] == parts + plan["memory"]["process"]
        speed = one["tokens_per_second"] * one["seconds_per_step"]
        assert round(speed) == 4 * 8
    # AdamW: weights, gradients, two moments; and the tables of positions.
    assert 16 * parameters <= ddp["divided"] < 17 * parameters + 4 * 16 * 17
    assert fsdp["divided"] == -(-ddp["divided"] // 4)
    assert plan["tokens"] == 12 * 4 * 8


def test_without_devices_nothing_is_said_of_them(capsys, toml):
    assert "devices" not in planned(capsys, toml, "--no-calibration")


@pytest.mark.slow
def test_the_page_says_which_strategy_is_taken_and_why(capsys, toml, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ["--no-calibration", "--devices", "2", "--device-memory", "0.00001"]
    page = page_of(capsys, toml, *words)
    assert "2 devices, 2 rows of a mini-batch each" in page
    assert "fsdp: with ddp each device would hold" in page
    assert "at 1 GB/s (assumed), a step" in page
    assert max(map(len, page.splitlines())) <= 80
    lbfgs = page_of(capsys, toml, *words, "--train.optimizer", "bfgs")
    assert "ddp: bfgs needs whole weights" in lbfgs


def test_torchrun_says_how_many_devices_there_are():
    place = {"TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_RESTART_COUNT": "0"}
    place |= {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    place |= {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "::1", "MASTER_PORT": "1"}
    assert wish_of({}, {}) is None
    assert wish_of({}, place) == Wish(2, None, None)
    assert wish_of({"devices": "4"}, place) == Wish(4, None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--devices", "3"],
            "batch_size = 4: 3 devices cannot share it evenly; 3 or 6",
        ),
        (["--devices", "1.5"], "--devices 1.5: must be a whole number above 0"),
        (["--devices", "many"], "such as 8"),
        (["--devices", "2", "--bandwidth", "0"], "--bandwidth 0: must be a number"),
        (["--bandwidth", "5"], "--devices: say how many there are"),
    ],
)
def test_what_cannot_be_planned_for_is_refused(capsys, toml, words, said):
    assert main(["plan", "--toml", str(toml), "--no-calibration", *words]) == 2
    assert said in capsys.readouterr().err
