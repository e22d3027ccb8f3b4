"""The command line as a process sees it: exit codes, streams, and what is loaded."""

import errno
import gc
import logging
import os
import subprocess
import sys

import pytest

from slangmod import __version__, cli
from slangmod.commands import COMMANDS
from slangmod.errors import (
    NEEDS_LESS,
    DataError,
    RunBusyError,
    RunError,
    StoppedError,
    UserError,
)
from tests.cases import mostly_slow

SLOW = ("torch", "swak", "polars", "pandas", "pyarrow", "tokenizers", "numpy", "tqdm")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("SLM_")]:
        monkeypatch.delenv(variable)
    return tmp_path


@pytest.fixture
def action(here, monkeypatch, capsys):
    """Runs ``summarize`` with a body of ours; -> exit code, output, errors."""

    def run(body, *argv):
        module = type(sys)("slangmod.commands.summarize")
        module.run = body
        monkeypatch.setitem(sys.modules, "slangmod.commands.summarize", module)
        code = cli.main(["summarize", *argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_garbage_is_collected_from_the_first_action_on(action) -> None:
    found = []

    def body(call) -> None:
        found.append((gc.isenabled(), gc.get_freeze_count() > 0))

    gc.unfreeze()
    action(body)
    gc.disable()
    try:
        action(body)
    finally:
        gc.enable()
        gc.unfreeze()
    assert found == [(True, False), (True, True)]


def process(*argv, **options):
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, check=False, **options
    )


def raising(error):
    def body(call):
        raise error

    return body


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class PanicException(BaseException):
    """Like that of the tokenizers library, no Exception."""


OUTCOMES = [
    (UserError("a: b", "c: d"), 2, ["a: b", "c: d"]),
    (DataError("a\nb", "c"), 2, ["a\\nb", "c"]),
    (RunError("the loss is not finite"), 1, ["the loss is not finite"]),
    (RunError(), 1, ["RunError"]),
    (RunBusyError("in use"), 3, ["in use"]),
    (StoppedError("stopped", 75), 75, ["stopped"]),
    (OSError(errno.ENOSPC, "No space left on device", "a/b"), 1,
     ["a/b: no space left on device; make room, and run it again"]),
    (PermissionError(errno.EACCES, "Permission denied", "a"), 1,
     ["a: permission denied"]),
    (OSError("odd"), 1, ["unexpected OSError: odd; run it again with --debug to see "
                         "where it came from"]),
    (MemoryError(), 1, [f"out of memory; {NEEDS_LESS}"]),
    (OutOfMemoryError("CUDA out of memory.\nTried"), 1,
     [f"out of memory; {NEEDS_LESS}; CUDA out of memory. Tried"]),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1,
     [f"out of memory; {NEEDS_LESS}; DefaultCPUAllocator: can't allocate memory"]),
    (ValueError("a\n b\x1b[2J"), 1, ["unexpected ValueError: a b\\u001b[2J; run it "
                                     "again with --debug to see where it came from"]),
    (PanicException("index"), 1, ["unexpected PanicException: index; run it again "
                                  "with --debug to see where it came from"]),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ["broken pipe"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "lines"), OUTCOMES, ids=lambda one: type(one).__name__
)
def test_every_error_is_lines_on_standard_error_and_an_exit_code(
    action, error, code, lines
):
    found, out, err = action(raising(error))
    assert (found, out) == (code, "")
    assert err.splitlines() == [f"slangmod: error: {line}" for line in lines]


def test_debug_adds_where_an_error_came_from(action):
    code, _, err = action(raising(RunError("odd")), "--debug")
    assert code == 1
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("slangmod: error: odd\n")


def test_ctrl_c_ends_with_a_single_line(action):
    code, out, err = action(raising(KeyboardInterrupt()))
    assert (code, out) == (130, "")
    assert err.splitlines() == [
        "slangmod: error: stopped by SIGINT; nothing half-written is left"
    ]


@pytest.mark.parametrize("given", [None, 0, 1, 7])
def test_an_action_may_give_an_exit_code(action, given):
    assert action(lambda _: given)[0] == (given or 0)


def test_a_chain_stops_at_the_first_action_that_fails(here, monkeypatch):
    done = []
    for name in ("clean", "tokenize", "encode"):
        module = type(sys)(name)
        module.run = lambda call: done.append(call.action) or len(done) - 1
        monkeypatch.setitem(sys.modules, f"slangmod.commands.{name}", module)
    assert cli.main(["clean", "tokenize", "encode"]) == 1
    assert done == ["clean", "tokenize"]


def test_logs_go_to_standard_error_at_the_level_asked_for(action):
    def body(call):
        log = logging.getLogger("slangmod.somewhere")
        log.debug("d")
        log.info("i\x1b[2J")
        log.warning("w")

    _, out, err = action(body, "--log_level", "debug")
    assert out == ""
    assert [line.split(" ", 1)[1] for line in err.splitlines()] == [
        "d",
        "i\\u001b[2J",
        "warning: w",
    ]
    _, _, err = action(body, "--log_level", "warning")
    assert [line.split(" ", 1)[1] for line in err.splitlines()] == ["warning: w"]


def test_version_and_help_go_to_standard_output(here, capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"slangmod {__version__}\n"
    for argv in (["--help"], ["train", "--help"], ["config", "--help"], ["-h"]):
        assert cli.main(argv) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith("usage: slangmod")
        assert captured.err == ""


def test_help_is_given_whatever_else_is_wrong(here, capsys):
    (here / "slangmod.toml").write_text("not toml")
    assert cli.main(["train", "--help", "--nope"]) == 0
    assert "--train.batch_size" in capsys.readouterr().out
    assert cli.main(["nope", "--help"]) == 2
    assert "'nope': unknown action" in capsys.readouterr().err


def test_no_action_gives_help_on_standard_error(here, capsys):
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: slangmod")


@pytest.mark.parametrize(
    "action_name",
    mostly_slow([n for n in COMMANDS if COMMANDS[n].resolves], ["train", "chat"]),
)
def test_wrong_settings_end_every_action_before_anything_is_loaded_or_written(
    here, action_name
):
    code = (
        "import sys; from slangmod.cli import main; "
        f"code = main({action_name.split()!r} + ['--train.batch_size', '-1']); "
        f"print(code, *(set({SLOW!r}) & set(sys.modules)))"
    )
    done = process("-c", code, cwd=here)
    assert done.stdout == "2\n"
    assert "--train.batch_size = -1: must be at least 1" in done.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "slow"),
    [
        (["--help"], (*SLOW, "pydantic")),
        (["--version"], (*SLOW, "pydantic")),
        (["train", "--help"], SLOW),
        (["config", "show"], SLOW),
    ],
)
def test_what_needs_no_torch_and_no_settings_loads_nothing_slow(here, argv, slow):
    code = (
        f"import sys; from slangmod.cli import main; main({argv!r}); "
        f"print('slow:', *(set({slow!r}) & set(sys.modules)))"
    )
    assert process("-c", code, cwd=here).stdout.endswith("slow:\n")


def test_a_reader_that_leaves_is_no_error(here):
    command = f"{sys.executable} -m slangmod config example | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=here,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_output_survives_a_narrow_encoding(here):
    (here / "slangmod.toml").write_text('chat.user = "Zoë"', "utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "slangmod", "config", "show", "--changed"],
        capture_output=True,
        check=True,
        cwd=here,
        env=environment,
    )
    assert 'user = "Zoë"' in done.stdout.decode("utf-8")


def test_the_module_can_be_run(here):
    done = process("-m", "slangmod", "config", "shwo", cwd=here)
    assert done.returncode == 2
    assert done.stderr.startswith("slangmod: error: 'config shwo': unknown action")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(
        [sys.executable, "-m", "slangmod", "config", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        bufsize=0,
    )
    process.stdout.close()  # long before anything is written
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_a_file_that_is_being_written_is_told_by_its_name_to_be(action):
    name = "runs/first/.aside-0123456789abcdef0123456789abcdef-summary.toml"
    error = OSError(errno.EROFS, "Read-only file system", name)
    _, _, err = action(raising(error))
    assert err == "slangmod: error: runs/first/summary.toml: read-only file system\n"


@pytest.mark.parametrize("words", [("train", "--toml"), ("config", "check")])
def test_a_file_whose_name_cannot_be_is_one_line(words, capsys):
    assert cli.main([*words, "a\0b"]) == 2
    error = capsys.readouterr().err
    assert error == "slangmod: error: a\\u0000b: cannot be read: embedded null byte\n"


@pytest.mark.parametrize("action", ["generate", "chat"])
def test_the_way_out_of_too_little_memory_fits_the_action(action):
    said = cli.lines_of(MemoryError(), [action])
    assert "chat.max_tokens" in said[0]
    assert "train." not in said[0]
    assert cli.lines_of(MemoryError(), ["train"]) == [f"out of memory; {NEEDS_LESS}"]
