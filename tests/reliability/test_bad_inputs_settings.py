"""The matrix of bad inputs: files of settings, names, values, and what contradicts.

A row of the matrix is a test, its cases are the parameters.
"""

# One line per case, however long: a table reads as one.
# ruff: noqa: E501

from collections.abc import Callable
from pathlib import Path

import pytest

from slangmod import cli
from tests.reliability.workplace import CONFIG, Here

TRAIN = ("train", "--toml", "config.toml", "--name", "new")


def words(text: str) -> bytes:
    return text.encode("utf-8")


UNREADABLE = [
    ("missing", lambda path: path.unlink(), "no such file"),
    ("folder", lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    ("large", lambda path: path.write_bytes(b"#" * (1 << 20 | 1)), "larger than 1 MiB"),
    ("latin", lambda path: path.write_bytes(b"seed = 1\nname = '\xe9'"),
     "2:9: not valid UTF-8: byte 0xe9"),
    ("utf-16", lambda path: path.write_bytes(CONFIG.encode("utf-16")), "1:1: not valid UTF-8"),
    ("itself", lambda path: (path.unlink(), path.symlink_to(path.name)),
     "cannot be read"),
    ("device", lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
     "larger than 1 MiB"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [case[1:] for case in UNREADABLE],
    ids=[case[0] for case in UNREADABLE],
)
def test_a_file_of_settings_that_cannot_be_read_is_named(
    nowhere: Here, promise, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(nowhere.folder / "config.toml")
    line = nowhere.refused(*TRAIN)
    assert line.startswith("config.toml:")
    assert reason in line
    promise("Matrix", 1)


def test_a_byte_order_mark_is_no_mistake(nowhere: Here, promise) -> None:
    path = nowhere.folder / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    told = nowhere.run("config", "check", "config.toml")
    assert (told.code, told.errors) == (0, [])
    promise("Matrix", 1)


SYNTAX = [
    ("value", "seed = = 1", "1:8: not valid TOML"),
    ("twice", "seed = 1\nseed = 2", "2:9: not valid TOML: 'seed' is set already, in line 1"),
    ("table twice", "[train]\n[data]\n[train]", "3:7: not valid TOML: 'train' is set already, in line 1"),
    ("no end", '[train]\noptimizer = "adam', "2:18: not valid TOML"),
    ("nested lists", "seed = " + "[" * 100_000, "1:"),
    ("nested tables", "extra = " + "{a = " * 100_000, "1:"),
    ("dotted", "extra" + ".a" * 16_000 + " = 1", "1:"),
    ("giant number", "seed = " + "9" * 5_000, "1:8: a number of more than 128 characters"),
    ("long key", f"{'a' * 300} = 1", "1:1: a key of more than 256 characters"),
    ("carriage return", "seed = 1\rname = 'a'", "1:9: not valid TOML"),
    ("control", "name = 'a\x00b'", "1:10: not valid TOML"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"), [case[1:] for case in SYNTAX], ids=[case[0] for case in SYNTAX]
)
def test_what_is_no_toml_is_told_with_line_and_column(
    nowhere: Here, promise, text: str, reason: str
) -> None:
    (nowhere.folder / "config.toml").write_bytes(words(text))
    line = nowhere.refused(*TRAIN)
    assert line.startswith(f"config.toml:{reason}")
    promise("Matrix", 1)


UNKNOWN = [
    ("[train]\nlearning_rat = 1", "config.toml:2: unknown setting 'train.learning_rat'; "
     "did you mean 'train.learning_rate'?"),
    ("[trian]\nlearning_rate = 1", "config.toml:1: unknown section 'trian'; "
     "did you mean 'train'?"),
    ("sead = 1", "config.toml:1: unknown setting 'sead'; did you mean 'seed'?"),
    ("[train.batch]\nsize = 1", "config.toml:1: unknown section 'train.batch'; "
     "did you mean 'train'?"),
    ("batch_size = 1", "config.toml:1: unknown setting 'batch_size'; did you mean "
     "'train.batch_size'?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), UNKNOWN)
def test_an_unknown_setting_is_told_with_the_nearest_that_there_is(
    nowhere: Here, promise, text: str, reason: str
) -> None:
    (nowhere.folder / "config.toml").write_bytes(words(text))
    assert reason in nowhere.refused(*TRAIN)
    promise("Matrix", 1)


QUOTED = '"64"'
VALUES = [
    ("train.batch_size", QUOTED, "must be a whole number, at least 1, without quotes"),
    ("train.batch_size", "true", "must be"),
    ("train.batch_size", "8.0", "must be"),
    ("train.batch_size", "0", "must be at least 1"),
    ("train.batch_size", "-5", "must be at least 1"),
    ("train.batch_size", "1" + "0" * 30, "must be a whole number of at most 64 bits"),
    ("train.learning_rate", "nan", "must be a finite number"),
    ("train.learning_rate", "inf", "must be a finite number"),
    ("train.learning_rate", "1e400", "must be a finite number"),
    ("train.learning_rate", "-1.0", "must be"),
    ("train.learning_rate", "[1]", "must be"),
    ("train.optimizer", '"adamm"', "did you mean"),
    ("train.max_time", '"2 hours"', "a number and its unit"),
    ("model.dropout", "1.5", "must be"),
    ("data.shuffle", "1", "true or false"),
    ("data.precision", '"float16"', "bfloat16"),
    ("seed", "{}", "must be"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "reason"), VALUES)
def test_a_wrong_value_is_told_with_its_key_and_what_it_may_be(
    nowhere: Here, promise, monkeypatch, name: str, value: str, reason: str
) -> None:
    (nowhere.folder / "bad.toml").write_text(f"\n{name} = {value}\n", "utf-8")
    line = nowhere.refused("train", "--toml", "bad.toml")
    assert line.startswith(f"bad.toml:2: {name} = ")
    assert reason in line
    if value == QUOTED:  # where a shell takes quotes away, it is a number
        promise("Matrix", 1)
        return
    assert reason in nowhere.refused(*TRAIN, f"--{name}={value}")
    monkeypatch.setenv("SLM_" + name.upper().replace(".", "__"), value)
    line = nowhere.refused(*TRAIN)
    assert line.startswith("SLM_")
    assert reason in line
    promise("Matrix", 3)


CONTRADICTIONS = [
    (("--model.dim", "30", "--model.n_heads", "4"), ("model.dim", "model.n_heads")),
    (("--data.seq_len", "64"), ("data.seq_len", "model.context")),
    (("--data.overlap", "16"), ("data.overlap", "data.seq_len")),
    (("--tokens.algo", "bpe", "--tokens.vocab", "99"), ("tokens.vocab", "tokens.algo")),
    (("--train.min_learning_rate", "1"), ("train.min_learning_rate", "train.learning_rate")),
    (("--model.n_kv_heads", "3"), ("model.n_kv_heads", "model.n_heads")),
    (("--model.scale_grad_by_freq", "true", "--train.step_freq", "2"),
     ("model.scale_grad_by_freq", "train.step_freq")),
    (("--train.optimizer", "sgd", "--optimizer.rho", "0.5"),
     ("optimizer.rho", "train.optimizer")),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "keys"), CONTRADICTIONS)
def test_of_settings_that_contradict_each_other_both_are_named(
    nowhere: Here, promise, flags: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    line = nowhere.refused(*TRAIN, *flags)
    assert all(key in line for key in keys)
    promise("Matrix", 1)


def test_rows_that_processes_cannot_share_are_told_with_both_numbers(
    here: Here, promise, monkeypatch
) -> None:
    names = ("RANK", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT", "MASTER_PORT")
    started = {**dict.fromkeys(names, "0"), "TORCHELASTIC_RUN_ID": "none"}
    started |= {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    # There is nobody else who would have to hear of it.
    monkeypatch.setattr(cli, "to_say", lambda _, lines, __: list(lines))
    line = here.refused(*TRAIN)
    assert line.startswith("train.batch_size = 8: 3 processes cannot share it evenly;")
    assert "6 or 9 would fit, or another --nproc-per-node" in line
    for name in started:
        monkeypatch.delenv(name)
    line = here.refused("plan", "--toml", "config.toml", "--devices", "3")
    assert line.startswith("train.batch_size = 8: 3 devices cannot share it evenly;")
    promise("Matrix", 2)


def test_all_that_is_wrong_is_told_at_once(nowhere: Here, promise) -> None:
    text = "sead = 1\n[train]\nbatch_size = 0\noptimizer = 'adamm'\n"
    (nowhere.folder / "config.toml").write_text(text, "utf-8")
    told = nowhere.run(*TRAIN, "--model.dim", "-1", "--nonsense", "1")
    assert told.code == 2
    places = ["--nonsense", "config.toml:1:", "config.toml:3:", "config.toml:4:"]
    places.append("--model.dim")
    assert all(any(e.startswith(one) for e in told.errors) for one in places)
    assert len(told.errors) == len(places)
    promise("Matrix", 1)


NAMES = ["", ".", "..", "../out", "/tmp/out", "a/b", "a b", "a\nb", "a\x1b[2J", "é",
         "x" * 65, "~", "*", "first/trial-007/x", ".aside-1"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", ["train", "resume", "generate"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(
    nowhere: Here, promise, action: str, name: str
) -> None:
    line = nowhere.refused(action, "--toml", "config.toml", f"--name={name}")
    assert line.startswith("--name")
    promise("R18", 1)


PATHS = [
    (("--workdir", ""), "workdir"),
    (("--workdir", "a\0b"), "workdir"),
    (("--files.raw", "a\0b"), "files.raw"),
    (("--files.tokenizer", ""), "files.tokenizer"),
    (("--train.init_from", ""), "train.init_from"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "key"), PATHS)
def test_what_is_no_path_is_refused(
    nowhere: Here, promise, flags: tuple[str, ...], key: str
) -> None:
    assert f"--{key}" in nowhere.refused(*TRAIN, *flags)
    promise("Matrix", 1)


TOO_MUCH = [
    ("tokens.vocab", "5000000"),
    ("threads", "100000000"),
    ("repeat", "1000000000000"),
    ("chat.width", "100000000000"),
    ("chat.boost", "1e300"),
    ("model.n_layers", "1000000000"),
    ("model.feedforward.factor", "1e9"),
]


@pytest.mark.parametrize(("name", "value"), TOO_MUCH)
def test_what_would_end_the_program_or_never_end_is_refused(
    nowhere: Here, promise, name: str, value: str
) -> None:
    line = nowhere.refused(*TRAIN, f"--{name}", value)
    assert line.startswith(f"--{name} = ")
    assert "at most" in line
    promise("R17", 1)


@pytest.mark.parametrize("name", ["model.dim", "train.batch_size", "model.context"])
def test_more_than_any_memory_is_told_as_that(here: Here, promise, name: str) -> None:
    given = ("--model.positions", "learnable", f"--{name}", "9000000000000000000")
    told = here.run(*TRAIN, *given)
    assert told.code == 1
    (line,) = told.errors
    assert line.startswith("out of memory")
    assert "a smaller train.batch_size" in line
    promise("R17", 1)
