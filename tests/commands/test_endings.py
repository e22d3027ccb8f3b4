"""What a run ends with: a best checkpoint that is sound, and the data it began with."""

import shutil
from pathlib import Path

import pytest
import tomli

from slangmod.cli import main
from slangmod.commands import evaluate, session
from slangmod.commands.best import refuse_unsound_best
from slangmod.commands.conduct import Conductor
from slangmod.commands.verifying_run import settings_in
from slangmod.errors import DataError, RunError
from slangmod.files import sha256_of
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir
from tests.reliability.small_work import make_work, train

UPHILL = (
    *("--train.learning_rate", "0.5", "--train.max_epochs", "20"),
    *("--train.patience", "2"),
)
BEST = "step-000000020"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ending") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("pat", *UPHILL) == 0
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def pat(work) -> RunDir:
    """A run that ended by patience, ten steps after its best, but for its summary."""
    run = RunDir(work / "runs" / "pat")
    run.summary.unlink()
    shutil.rmtree(run.model)
    return run


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


def flip_weights(checkpoint: Path) -> None:
    flip(checkpoint / "model.safetensors")


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (flip_weights, f"{BEST}/model.safetensors: differs from what was written; "),
        (shutil.rmtree, f"{BEST}: the best checkpoint is gone; "),
    ],
)
def test_a_best_checkpoint_that_is_not_sound_is_never_kept(pat, capsys, harm, fault):
    harm(pat.checkpoints / BEST)
    assert main(["resume", "--name", "pat"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert fault in error
    assert not pat.model.exists()
    # A better one follows, and the run ends well.
    way = "`slangmod resume --name pat --train.patience N`"
    assert way in error
    words = way.strip("`").replace("N", "9").split()[1:]
    assert main(words) == 0
    assert pat.model.is_dir()


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (flip_weights, f"{BEST}/model.safetensors: differs from what was written; "),
        (shutil.rmtree, f"{BEST}: the best checkpoint is gone; "),
    ],
)
def test_a_run_that_goes_on_tells_at_once_that_its_best_is_not_sound(
    pat, capsys, harm, fault
):
    goes_on = ["resume", "--name", "pat", "--train.patience", "9", "--train.max_steps"]
    best, kept = pat.checkpoints / BEST, pat.root / "kept"
    shutil.copytree(best, kept)
    harm(best)
    # One step more is not better, so that there is no model.
    assert main([*goes_on, "31"]) == 1
    said = capsys.readouterr().err.splitlines()
    (warning,) = [line for line in said if "before the run ends" in line]
    assert fault in warning
    assert "there will be no model unless a better one follows" in warning
    trained = [line for line in said if "stopped after 31 steps" in line]
    assert said.index(warning) < said.index(*trained)
    assert not pat.model.exists()
    shutil.rmtree(best, ignore_errors=True)
    kept.rename(best)
    assert main([*goes_on, "32"]) == 0
    assert "before the run ends" not in capsys.readouterr().err
    assert pat.model.is_dir()


class Follower(Team):
    """Another process of a team, which is told what the leader has said."""

    def __init__(self, told: str) -> None:
        super().__init__(rank=1, size=2)
        self.__dict__["told"] = told

    def text(self, text: str) -> str:
        """What the leader says."""
        assert text == ""
        return self.__dict__["told"]


def test_only_the_leader_reads_the_best_checkpoint(pat, monkeypatch):
    monkeypatch.setattr("slangmod.commands.best.problems_of", lambda _: 1 / 0)
    refuse_unsound_best(pat, 20, "patience", Follower(""))
    with pytest.raises(RunError, match="damaged; copy it from a backup"):
        refuse_unsound_best(pat, 20, "patience", Follower("damaged"))
    with pytest.raises(ZeroDivisionError):
        refuse_unsound_best(pat, 20, "patience", Team())


def test_a_model_that_is_gone_or_damaged_is_written_anew(work, caplog):
    run = RunDir(work / "runs" / "pat")
    known = sha256_of(run.model / "model.safetensors")
    for harm in (shutil.rmtree, flip_weights):
        harm(run.model)
        caplog.clear()
        assert main(["resume", "--name", "pat"]) == 0
        assert sha256_of(run.model / "model.safetensors") == known
        assert "is written anew" in caplog.text
        assert "patience" in run.summary.read_text()
    summary = run.summary.stat().st_mtime_ns
    assert main(["resume", "--name", "pat"]) == 0  # with nothing left to do
    assert run.summary.stat().st_mtime_ns == summary


@pytest.mark.parametrize("action", ["evaluate", "generate"])
def test_a_damaged_model_is_not_used(work, capsys, action):
    path = Path("runs/pat/model/model.safetensors")
    flip(path)
    assert main([action, "--name", "pat"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{path}: differs from what was written; " in said.err
    assert train("next", "--train.init_from", "runs/pat") == 2
    assert f"{path}: differs" in capsys.readouterr().err
    assert not (work / "runs" / "next").exists()


def encode_other_text(work: Path) -> None:
    """Make corpus and encodings anew, and let another tokenizer take the place."""
    for name in ("train", "test", "validation"):
        (work / "raw" / f"{name}.txt").write_text(f"{name} " + "zebra " * 99)
    assert main(["clean", "encode", "--toml", "config.toml"]) == 0
    (tokenizer,) = work.glob("tokenizer-*.json")
    tokenizer.write_text(tokenizer.read_text() + " ")


def test_a_run_ends_with_the_data_it_began_with(work, monkeypatch):
    before = tomli.loads((work / "runs" / "pat" / "summary.toml").read_text())
    train_as_ever = Conductor.train

    def train_meanwhile(self):
        outcome = train_as_ever(self)
        monkeypatch.setattr(Conductor, "train", train_as_ever)
        encode_other_text(work)
        return outcome

    monkeypatch.setattr(Conductor, "train", train_meanwhile)
    assert train("again", *UPHILL) == 0
    after = tomli.loads((work / "runs" / "again" / "summary.toml").read_text())
    assert after["validation"] == before["validation"]
    tokenizers = [work / "runs" / n / "model/tokenizer.json" for n in ("pat", "again")]
    assert len({path.read_bytes() for path in tokenizers}) == 1


def test_data_that_are_replaced_while_a_run_begins_are_refused(
    work, monkeypatch, capsys
):
    build = session.build_state

    def build_meanwhile(*given):
        encode_other_text(work)
        return build(*given)

    monkeypatch.setattr(session, "build_state", build_meanwhile)
    assert train("again") == 2
    assert "was made anew, or removed, while it was" in capsys.readouterr().err
    assert not (work / "runs" / "again").exists()


def test_an_evaluation_reads_the_encodings_that_it_has_checked(work, monkeypatch):
    choose = evaluate.check_fresh

    def check_and_replace(settings):
        found = choose(settings)
        encode_other_text(work)
        return found

    monkeypatch.setattr(evaluate, "check_fresh", check_and_replace)
    run = RunDir(work / "runs" / "pat")
    with pytest.raises(DataError, match="was made anew, or removed"):
        evaluate.evaluate_run(run, settings_in(".", run), "validation")
