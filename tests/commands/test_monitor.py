import io
import sys

import pytest

from slangmod.cli import main
from slangmod.commands import monitor
from slangmod.runs.recorders import MemoryCsv, MemoryUse
from slangmod.runs.summary import write_summary


class Screen(io.StringIO):
    """A terminal that remembers what it was sent."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def pages(self):
        return self.getvalue().split(monitor.HOME)[1:]


def screen_for(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


def test_where_nobody_watches_it_draws_once(capsys, tmp_path, make_run):
    make_run("first")
    assert main(["monitor", "--name", "first", "--workdir", str(tmp_path)]) == 0
    head, *drawing = capsys.readouterr().out.splitlines()
    assert head.startswith("first | stopped | epoch 1 | step 60 | loss 2.0500")
    assert "41k tokens/s" in head
    assert any("training" in line for line in drawing)


def test_the_headline_tells_memory_where_it_is_measured(capsys, tmp_path, make_run):
    run = make_run("first")
    words = ["monitor", "first", "--workdir", str(tmp_path)]
    assert main(words) == 0
    assert "memory" not in capsys.readouterr().out
    for device, text in ((None, ""), (3 * 2**30, " | on the GPU 3.00 GiB")):
        table = MemoryCsv(run.memory)
        table.add(MemoryUse(60, 60, 3 * 2**29, device))
        table.close()
        assert main(words) == 0
        head = capsys.readouterr().out.splitlines()[0]
        assert head.endswith(f"tokens/s | memory 1.50 GiB{text}")


def test_it_takes_the_newest_run_and_says_so(capsys, tmp_path, make_run):
    make_run("old")
    make_run("new")
    assert main(["monitor", "--workdir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("new | ")
    assert "new" in captured.err


def test_it_refreshes_until_the_run_ends(monkeypatch, tmp_path, make_run):
    screen = screen_for(monkeypatch)
    run = make_run("first")
    lock = run.lock()
    lock.__enter__()
    waits = []

    def wait(seconds):
        waits.append(seconds)
        with run.steps.open("a") as stream:
            stream.write(f"{60 + len(waits)},1,1,1,1.0,1e-3,1.0,41000.0\n")
        if len(waits) == 3:
            lock.__exit__(None, None, None)

    monkeypatch.setattr(monitor.time, "sleep", wait)
    assert main(["monitor", "first", "--workdir", str(tmp_path)]) == 0
    states = [page.split(" | ")[1] for page in screen.pages()]
    assert states == ["running", "running", "running", "stopped"]
    assert [page.split(" | ")[3] for page in screen.pages()][-1] == "step 63"


def test_control_c_ends_the_watching_and_is_no_failure(monkeypatch, tmp_path, make_run):
    screen = screen_for(monkeypatch)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor.time, "sleep", interrupt)
    with make_run("first").lock():
        assert main(["monitor", "first", "--workdir", str(tmp_path)]) == 0
    assert len(screen.pages()) == 1


def test_colours_can_be_switched_off(monkeypatch, tmp_path, make_run):
    screen = screen_for(monkeypatch)
    make_run("first")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["monitor", "first", "--workdir", str(tmp_path)])
    assert "\x1b[38" not in screen.getvalue()
    monkeypatch.delenv("NO_COLOR")
    main(["monitor", "first", "--workdir", str(tmp_path)])
    assert "\x1b[38" in screen.getvalue()


def test_a_run_without_rows_has_nothing_to_draw_yet(capsys, tmp_path, make_run):
    make_run("first", steps=0, evaluations=0)
    assert main(["monitor", "first", "--workdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "first | stopped\nnothing to draw yet\n"


def test_an_ended_run_says_by_what_rule(capsys, tmp_path, make_run):
    write_summary(make_run("first").summary, {"reason": "patience"}, {}, {}, {})
    main(["monitor", "first", "--workdir", str(tmp_path)])
    assert capsys.readouterr().out.startswith("first | ended (patience) | ")


def test_a_picture_is_drawn_instead_where_one_is_asked_for(capsys, tmp_path, make_run):
    make_run("first")
    path = tmp_path / "first.svg"
    arguments = ["monitor", "first", "--workdir", str(tmp_path), "--plot", str(path)]
    assert main(arguments) == 0
    assert path.read_text().startswith("<?xml")
    assert capsys.readouterr().out == ""


def test_a_page_is_served_until_control_c(monkeypatch, capsys, tmp_path, make_run):
    make_run("first")
    served = []

    def interrupt(server):
        served.append((server.port, set(server.answers)))
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor.PageServer, "serve_forever", interrupt)
    assert main(["monitor", "first", "--web", "--workdir", str(tmp_path)]) == 0
    ((port, pages),) = served
    assert capsys.readouterr().out == f"http://127.0.0.1:{port}/\n"
    assert pages == {"/", "/page.css", "/page.js", "/plotly.js", "/data"}


def test_a_script_for_gnuplot_is_printed(capsys, tmp_path, make_run):
    make_run("first")
    assert main(["monitor", "first", "--gnuplot", "--workdir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Curves of slangmod")
    assert "title 'first, test'" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--web", "--gnuplot"], "--gnuplot and --web: give one"),
        (["--web", "--plot", "x.png"], "--plot and --web: give one"),
        (["--port", "8000"], "--port: is that of --web"),
        (["--web", "--port", "0"], "from 1 to 65535"),
        (["--web", "--port", "65536"], "from 1 to 65535"),
        (["--web", "--port", "²"], "from 1 to 65535"),
        (["--web", "--port", "8000x"], "from 1 to 65535"),
    ],
)
def test_ways_that_do_not_go_together_are_refused(
    capsys, tmp_path, make_run, more, words
):
    make_run("first")
    assert main(["monitor", "first", "--workdir", str(tmp_path), *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["missing"], 2),
        (["../first"], 2),
        (["first", "--plot", "picture.pdf"], 2),
        (["empty", "--plot", "picture.png"], 2),
    ],
)
def test_mistakes_are_single_lines_and_write_nothing(
    capsys, tmp_path, make_run, more, code
):
    make_run("first")
    make_run("empty", steps=0, evaluations=0)
    before = sorted(tmp_path.rglob("*"))
    assert main(["monitor", *more, "--workdir", str(tmp_path)]) == code
    error = capsys.readouterr().err
    assert error.startswith("slangmod: error: ")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"\xff", b"[[", b"\0" * 50, b"a,b\n1,2\n"])
def test_broken_runs_can_be_looked_at(capsys, tmp_path, make_run, content):
    run = make_run("first")
    for path in (run.config, run.summary, run.steps, run.epochs):
        path.write_bytes(content)
    assert main(["monitor", "first", "--workdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("first | stopped")
