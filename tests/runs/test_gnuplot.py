import shutil
import subprocess
from dataclasses import replace

import pytest

from slangmod.runs.curves import read_curves
from slangmod.runs.gnuplot import quoted, script

GNUPLOT = shutil.which("gnuplot")
HOSTILE = [
    "it's",
    "a'; system('touch taken'); '",
    "`touch taken`",
    "$(touch taken)",
    'say "\\n" {/Bold x}_y^z @a &b %s',
    "line\nplot 1\n! touch taken",
    "END\n! touch taken",
    "\x1b[2Jé中",
    "",
]


def drawn(text, folder):
    """What gnuplot says and draws, in characters."""
    return subprocess.run(
        [GNUPLOT, "-e", "set terminal dumb noenhanced 100, 60", "-"],
        input=text,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_quoted_string_on_one_line(name):
    text = quoted(name)
    assert (text[0], text[-1]) == ("'", "'")
    assert "'" not in text[1:-1].replace("''", "")
    assert text.isprintable()


def test_numbers_are_in_full_precision_and_blocks_are_named_by_number(make_run):
    text = script((read_curves(make_run("first"), "step"),), "step")
    assert "$train1 << END\n1.0 5.0\n2.0 3.5\n" in text
    assert "$test1 << END\n10.0 2.5\n" in text


@pytest.mark.skipif(GNUPLOT is None, reason="there is no gnuplot here")
@pytest.mark.parametrize("name", HOSTILE)
def test_gnuplot_runs_it_whatever_a_run_is_called(make_run, tmp_path, name):
    curves = read_curves(make_run("first"), "step")
    bare = replace(curves, test=curves.test.thinned(0), rate=curves.rate.thinned(0))
    text = script((replace(curves, name=name), replace(bare, name=name)), "step")
    done = drawn(text, tmp_path)
    assert done.stderr == ""
    assert "loss, nats per token" in done.stdout
    assert "learning rate" in done.stdout
    assert not (tmp_path / "taken").exists()


@pytest.mark.skipif(GNUPLOT is None, reason="there is no gnuplot here")
def test_gnuplot_draws_what_has_no_rates_and_shows_names_as_they_are(
    make_run, tmp_path
):
    curves = read_curves(make_run("first"), "tokens")
    bare = replace(curves, name="a_b^c{d}'e", rate=curves.rate.thinned(0))
    bare = replace(bare, borders=(20_000.0,))
    text = script((bare,), "tokens")
    assert "set arrow from 20000.0, graph 0 to 20000.0, graph 1" in text
    done = drawn(text, tmp_path)
    assert done.stderr == ""
    assert "a_b^c{d}'e, test" in done.stdout
    assert "target tokens" in done.stdout
