import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli

from slangmod import cli
from slangmod.commands import sweep, sweep_report, sweeping
from slangmod.commands.existing import chosen_run
from slangmod.commands.sweep import need_libraries
from slangmod.errors import DataError, UserError
from slangmod.runs.directory import RunDir, runs_of, trials_of
from slangmod.settings import Settings

HERE = Path(__file__).parent
ENDED = 6
"""What optuna's journals call the end of a trial."""

CONFIG = """\
progress = false
[files]
raw = "raw"
[tokens]
algo = "byte"
[train]
warmup = 5
[sweep]
n_trials = 4
[sweep.space]
"train.learning_rate" = "interval(1e-4, 1e-1, log=true)"
"""


@pytest.fixture(scope="session")
def encoded_bytes(tmp_path_factory):
    """A folder with encodings, made once."""
    folder = tmp_path_factory.mktemp("bytes")
    raw = folder / "raw"
    raw.mkdir()
    for name in ("train", "test", "validation"):
        (raw / f"{name}.txt").write_text("the cat sat on the mat. " * 40)
    (folder / "config.toml").write_text(CONFIG)
    words = ["clean", "tokenize", "encode", "--toml", str(folder / "config.toml")]
    place = ["--workdir", str(folder), "--files.raw", str(raw)]
    assert cli.main([*words, *place]) == 0
    return folder


@pytest.fixture
def work(tmp_path, encoded_bytes, monkeypatch):
    """A copy of that folder, in which trials only pretend to train."""
    for path in encoded_bytes.iterdir():
        if path.name != "raw":
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    program = (sys.executable, str(HERE / "fake_trial.py"))
    monkeypatch.setattr(sweep, "PROGRAM", program)
    monkeypatch.setattr(sweep_report, "draw", lambda *_: [])
    monkeypatch.setattr(sweeping, "SECONDS_BETWEEN_LOOKS", 0.01)
    return tmp_path


DRAW = sweep_report.draw


def search(*words):
    return cli.main(["sweep", "--toml", "config.toml", *words])


def report(name="s"):
    return tomli.loads(Path("runs", name, "sweep.toml").read_text())


def rates(name="s"):
    return [one["parameters"]["train.learning_rate"] for one in report(name)["trial"]]


def test_every_trial_is_a_run_and_the_best_is_told(work, capsys):
    assert search("--name", "s") == 0
    found = report()
    assert [one["state"] for one in found["trial"]] == ["complete"] * 4
    values = [one["value"] for one in found["trial"]]
    assert found["best"]["value"] == min(values)
    assert found["sweep"]["state"] == "ended"
    names = [run.name for run in trials_of(".", "s")]
    assert names == [f"s/trial-00{number}" for number in range(4)]
    assert runs_of(".") == ()
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["trial", "test_loss", "time", "learning_rate"]
    assert table[1].split()[0] == str(found["best"]["number"])
    best = tomli.loads(Path("runs/s/best.toml").read_text())
    rate = found["best"]["parameters"]["train.learning_rate"]
    assert best["train"]["learning_rate"] == rate
    assert best["name"] == "none"
    assert best["workdir"] == str(work)
    assert "space" not in best["sweep"]


def test_what_was_stopped_goes_on_as_if_it_had_not_been(work, monkeypatch):
    assert search("--name", "whole") == 0
    for total in "1", "3", "4":
        assert search("--name", "parts", "--sweep.n_trials", total) == 0
    assert rates("parts") == rates("whole")
    assert len(set(rates("whole"))) == 4
    for number in range(4):
        ticks = Path(f"runs/parts/trial-00{number}/words.txt").read_text()
        assert ticks == "train --continue\n"


def test_a_sweep_without_a_name_goes_on_until_it_has_ended(work, caplog):
    assert search("--sweep.timeout", "0s") == 1
    (first,) = Path("runs").iterdir()
    assert search() == 0
    assert list(Path("runs").iterdir()) == [first]
    assert len(report(first.name)["trial"]) == 4
    assert search("--sweep.n_trials", "1") == 0
    assert len(list(Path("runs").iterdir())) == 2


def test_a_changed_space_is_refused_and_named(work, capsys):
    assert search("--name", "s", "--sweep.n_trials", "1") == 0
    before = Path("runs/s/study.journal").read_bytes()
    assert search("--name", "s", "--train.batch_size", "choice(2, 4)") == 2
    assert "train.batch_size: is now choice(2, 4)" in capsys.readouterr().err
    assert search("--name", "s", "--model.dim", "16") == 2
    assert "model.dim: is now 16, sweep 's' was begun with 512" in (
        capsys.readouterr().err
    )
    assert search("--name", "s", "--sweep.direction", "maximize") == 2
    assert "sweep.direction: is now maximize" in capsys.readouterr().err
    assert Path("runs/s/study.journal").read_bytes() == before


def test_other_data_are_refused(work, capsys):
    assert search("--name", "s", "--sweep.n_trials", "1") == 0
    Path("raw").mkdir()
    for name in ("train", "test", "validation"):
        Path("raw", f"{name}.txt").write_text("another text " * 40)
    for path in work.glob("[cet]*-*"):
        path.unlink()
    Path("corpus").unlink()
    assert cli.main(["clean", "tokenize", "encode", "--toml", "config.toml"]) == 0
    assert search("--name", "s") == 2
    assert "sha256 of the data: is now" in capsys.readouterr().err


def test_a_failing_trial_is_told_and_the_sweep_goes_on(work):
    words = ("--sweep.sampler", "grid", "--train.learning_rate", "choice(0.1, 0.01)")
    assert (
        search("--name", "s", *words, "--extra.end", "choice(badly, well, lost)") == 0
    )
    ends = {
        (one["parameters"]["extra.end"], one["state"], one.get("reason"))
        for one in report()["trial"]
    }
    assert ends == {
        ("badly", "failed", "the loss is not finite"),
        ("well", "complete", None),
        ("lost", "failed", "its summary has no finite number 'test_loss'"),
    }


def test_what_may_not_be_meant_is_warned_of(work, caplog):
    words = ("--sweep.sampler", "grid", "--train.learning_rate", "choice(0.1)")
    tokens = ("--tokens.vocab", "choice(300, 400)", "--sweep.n_trials", "1")
    assert search("--name", "s", *words, *tokens) == 0
    assert "cannot be compared between tokenizers" in caplog.text
    assert "the grid has 2 combinations; the last 1 are left out" in caplog.text


def test_a_killed_trial_fails_with_the_signal_as_its_reason(work):
    words = ("--extra.end", "choice(killed)", "--sweep.n_trials", "1")
    assert search("--name", "s", *words) == 1
    assert "killed by SIGKILL" in report()["trial"][0]["reason"]


def test_where_all_trials_fail_the_sweep_fails(work, capsys):
    assert search("--name", "s", "--extra.end", "choice(badly)") == 1
    assert "no trial came to its end; the last said: the loss is not finite" in (
        capsys.readouterr().err
    )
    assert not Path("runs/s/best.toml").exists()


def test_a_grid_ends_when_all_has_been_tried(work):
    words = ("--train.learning_rate", "choice(0.1, 0.01, 0.001)")
    assert search("--name", "s", "--sweep.sampler", "grid", *words) == 0
    assert rates() == [0.1, 0.01, 0.001]
    assert report()["sweep"]["n_trials"] == 3
    assert report()["sweep"]["state"] == "ended"


def test_values_that_do_not_go_together_fail_without_a_process(work):
    words = ("--model.dim", "choice(16, 18)", "--model.n_heads", "choice(8, 9)")
    fixed = ("--train.learning_rate", "choice(0.1)", "--sweep.sampler", "grid")
    assert search("--name", "s", *words, *fixed) == 0
    found = {
        (one["parameters"]["model.dim"], one["parameters"]["model.n_heads"]): one
        for one in report()["trial"]
    }
    assert found[16, 8]["state"] == found[18, 9]["state"] == "complete"
    assert "multiple of n_heads" in found[16, 9]["reason"]
    assert not Path("runs/s/trial-001").exists()


def test_a_bad_trial_is_pruned_with_what_it_has_saved(work):
    words = ("--train.learning_rate", "choice(0.01, 1.0)", "--sweep.sampler", "grid")
    pruned = ("--sweep.pruner", "median", "--sweep.n_startup_trials", "1")
    slow = ("--extra.ticks", "30", "--extra.seconds", "0.05")
    assert search("--name", "s", *words, *pruned, *slow) == 0
    good, bad = report()["trial"]
    assert (good["state"], bad["state"]) == ("complete", "pruned")
    assert len(Path("runs/s/trial-001/ticks.txt").read_text().splitlines()) < 30


def test_tokenizers_are_made_once_where_their_settings_agree(work):
    words = ("--tokens.vocab", "choice(300, 400)", "--tokens.algo", "bpe")
    fixed = ("--train.learning_rate", "choice(0.1, 0.2)", "--sweep.sampler", "grid")
    assert search("--name", "s", *words, *fixed) == 0
    actions = [
        Path(f"runs/s/trial-00{number}/words.txt").read_text().splitlines()
        for number in range(4)
    ]
    made = [one[0] == "tokenize encode" for one in actions]
    assert sum(made) == 2
    assert all(one[-1] == "train --continue" for one in actions)


def test_what_is_wrong_is_told_before_anything_is_written(work, capsys):
    cases = (
        (("--train.batch_size", "choice(32, -1)"), "-1: must be at least 1"),
        (("--model.norm_cls", "interval(1, 2)"), "is of numbers"),
        (("--chat.temperature", "interval(1, 2)"), "makes no difference"),
        (("--sweep.metric", "validation.acuracy"), "validation.accuracy"),
        (("--repeat", "2"), "repeat = 2"),
        (("--sweep.sampler", "grid"), "is an interval without steps"),
        (("--sweep.sampler", "cmaes"), "at least two numbers"),
        (("--model.dim", "choice(9, 16)"), "9: model.dim = 9: model.dim must be"),
        (("--stage.2.train.learning_rate", "choice(1, 2)"), "stage.2"),
    )
    for words, expected in cases:
        assert search("--name", "s", *words) == 2, words
        errors = capsys.readouterr().err
        assert expected in errors, words
        assert not Path("runs").exists(), words


def test_outside_of_sweep_what_to_try_is_refused_and_sweep_suggested(work, capsys):
    assert cli.main(["train", "--train.batch_size", "choice(3, 4)"]) == 2
    assert "slangmod sweep" in capsys.readouterr().err


def test_without_a_library_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr(sweep, "find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"needs optuna: pip install 'slangmod\[sweep\]'"
    ):
        need_libraries(Settings())


@pytest.mark.slow
def test_pictures_of_all_kinds_are_drawn(work, monkeypatch, capsys):
    assert search("--name", "s") == 0
    capsys.readouterr()
    monkeypatch.setattr(sweep_report, "draw", DRAW)
    assert cli.main(["sweep", "plot", "s"]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert len(drawn) == 6
    for name in ("history.svg", "slices.png", "importance.svg"):
        assert f"runs/s/{name}" in drawn
        assert Path("runs/s", name).stat().st_size > 1000


def test_show_prints_the_best_first_and_json(work, capsys):
    assert search("--name", "s") == 0
    capsys.readouterr()
    assert cli.main(["sweep", "show", "s", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    values = [float(line.split()[1]) for line in lines[1:3]]
    assert values == sorted(values)
    assert lines[3].startswith("and 2 more")
    assert cli.main(["sweep", "show", "s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report()
    assert cli.main(["sweep", "show", "nothing"]) == 2
    assert cli.main(["sweep", "show", "s", "--top", "0"]) == 2
    assert cli.main(["sweep", "show"]) == 2


def test_the_name_of_a_sweep_stands_for_its_trials(work, capsys):
    assert search("--name", "s", "--sweep.n_trials", "2") == 0
    capsys.readouterr()
    assert cli.main(["summarize", "s"]) == 0
    names = [run["name"] for run in json.loads(capsys.readouterr().out)]
    assert names == ["s/trial-000", "s/trial-001"]
    settings = Settings(name="s")
    with pytest.raises(DataError, match=r"is a sweep; .* such as s/trial-000"):
        chosen_run(settings)


def started(*words, seconds=0.05, ticks=10):
    """A sweep in a process of its own."""
    slow = ("--extra.ticks", str(ticks), "--extra.seconds", str(seconds))
    program = (sys.executable, str(HERE / "sweep_driver.py"))
    return subprocess.Popen(
        [*program, "sweep", "--toml", "config.toml", "--name", "s", *slow, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(number=0):
    path = Path(f"runs/s/trial-{number:03d}/ticks.txt")
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 75), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_stops_trials_that_can_go_on(work, number, code):
    process = started(ticks=60)
    begun()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "--name s goes on" in errors
    assert [one["state"] for one in report()["trial"]] == ["running"]
    assert not RunDir.of(".", "s/trial-000").in_use()


def test_a_database_keeps_the_study_of_a_sweep(work):
    words = ("--sweep.storage", "sqlite:///study.db", "--sweep.n_trials", "1")
    assert search("--name", "s", *words) == 0
    assert search("--name", "s", *words[:2], "--sweep.n_trials", "2") == 0
    assert len(report()["trial"]) == 2
    assert not Path("runs/s/study.journal").exists()


def test_a_sweep_that_is_at_work_is_in_use(work, capsys):
    process = started(ticks=60)
    begun()
    assert search("--name", "s") == 3
    assert "sweep 's' is in use by process" in capsys.readouterr().err
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.slow
def test_ten_kills_with_two_workers_lose_and_duplicate_nothing(work):
    chance = random.Random(5)
    words = ("--sweep.workers", "2", "--sweep.n_trials", "8")
    for _ in range(10):
        process = started(*words, ticks=40)
        begun()
        time.sleep(chance.uniform(0.0, 1.5))
        process.kill()
        process.communicate()
    process = started(*words, ticks=40)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    found = report()["trial"]
    assert [one["number"] for one in found] == list(range(8))
    assert {one["state"] for one in found} == {"complete"}
    for number in range(8):
        folder = Path(f"runs/s/trial-{number:03d}")
        ticks = (folder / "ticks.txt").read_text().split()
        assert ticks == [str(one) for one in range(1, 41)]
        assert not (folder / "twice.txt").exists()
    assert len(list(Path("runs/s").glob("trial-*"))) == 8
    journal = Path("runs/s/study.journal").read_text().splitlines()
    told = [json.loads(line) for line in journal]
    ended = [one["trial_id"] for one in told if one["op_code"] == ENDED]
    assert sorted(ended) == list(range(8))


@pytest.mark.slow
def test_the_same_is_proposed_whether_or_not_a_trial_was_killed(work):
    words = ("--sweep.n_trials", "3")
    assert (
        search(
            "--name", "whole", *words, "--extra.ticks", "10", "--extra.seconds", "0.05"
        )
        == 0
    )
    process = started(*words)
    begun(1)
    process.kill()
    process.communicate()
    process = started(*words)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert rates("s") == rates("whole")
