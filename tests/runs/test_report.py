from datetime import UTC, datetime

import pytest

from slangmod.runs.report import report_page
from slangmod.runs.summary import write_summary
from slangmod.settings.sections import Plot

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = "<b onclick='x'>&amp;"


def page_of(*runs):
    """The page without its scripts."""
    page = report_page(runs, Plot(), NOON)
    return page[: page.index('<script type="application/json"')]


@pytest.fixture
def ended(make_run):
    run = make_run("first")
    run.config.write_text("[train]\nbatch_size = 64   # default\n")
    write_summary(
        run.summary,
        {"reason": "max_epochs", "steps": 60, "best_test_loss": 2.125},
        {"loss": 2.25, "perplexity": 9.4877},
        {"device": "cpu", "cpu": HOSTILE, "compiled": False},
        {"seconds": 12345.6, "tokens": 38400, "peak_memory_bytes": 812345344},
    )
    return run


def row(page, key):
    return page.split(f"<tr><th>{key}</th>")[1].split("</tr>")[0]


def test_numbers_environment_and_cost_are_told(ended):
    page = page_of(ended)
    assert row(page, "best test loss") == "<td>2.1250</td>"
    assert row(page, "perplexity") == "<td>9.4877</td>"
    assert row(page, "seconds") == "<td>12,346</td>"
    assert row(page, "tokens") == "<td>38,400</td>"
    assert row(page, "peak memory") == "<td>775 MiB</td>"
    assert row(page, "device") == "<td>cpu</td>"
    assert row(page, "compiled") == "<td>false</td>"
    assert "report of 2026-11-21 12:00" in page


def test_settings_are_shown_with_their_origins(ended):
    assert '64<span class="origin">   # default</span>' in page_of(ended)


def test_what_differs_is_told_of_several_runs_only(ended, make_run):
    other = make_run("second")
    other.config.write_text("[train]\nbatch_size = 32\n")
    assert row(page_of(ended, other), "train.batch_size") == "<td>64</td><td>32</td>"
    assert "What differs" not in page_of(ended)


def test_repeated_runs_are_told_with_mean_and_spread(make_run):
    runs = [make_run("x-1"), make_run("x-2"), make_run("y")]
    for number, run in enumerate(runs):
        run.config.write_text(f"seed = {number}\n[train]\nscaling = 'a'\n")
    runs[2].config.write_text("[train]\nscaling = 'b'\n")
    page = page_of(*runs)
    assert (
        row(page, "x")
        == "<td>2</td><td>2.0000</td><td>0</td><td>not all have ended</td>"
    )
    assert "whether seeds explain that is unknown" in page
    assert "Repeated runs" not in page_of(*runs[1:])


def test_what_runs_say_is_text(ended):
    ended.config.write_text(f"# {HOSTILE}\nx = 1   # {HOSTILE}\n")
    page = page_of(ended)
    assert HOSTILE not in page
    assert page.count("&lt;b onclick") == 3


@pytest.mark.parametrize("content", [b"", b"\xff", b"[[", b"\0" * 50, b"a,b\n1,2\n"])
def test_broken_runs_make_a_page_all_the_same(make_run, content):
    run = make_run("first")
    for path in (run.config, run.summary, run.steps, run.epochs, run.samples):
        path.write_bytes(content)
    assert "<h1>first</h1>" in page_of(run)
    run.config.unlink()
    assert "<h1>first</h1>" in page_of(run)


def test_speed_is_told_with_what_it_is_a_share_of_and_the_verdict(ended):
    cost = {"mfu": 0.123, "flops_per_token": 39e6, "peak_flops": 3.34e12}
    cost |= {"peak_source": "measured, bfloat16", "data_seconds": 7.25}
    cost["verdict"] = f"data: {HOSTILE}"
    write_summary(ended.summary, {"reason": "max_epochs"}, {}, {}, cost)
    page = page_of(ended)
    assert row(page, "mfu") == "<td>12 %</td>"
    assert row(page, "data seconds") == "<td>7.2500</td>"
    assert (
        "first: MFU is 39 MFLOP a token, of 3.34 TFLOP/s (measured, bfloat16)" in page
    )
    assert "first: data: &lt;b onclick" in page


@pytest.mark.parametrize("odd", ['"much"', "[1]", "{ a = 1 }", "true"])
def test_odd_figures_of_speed_make_a_page_all_the_same(ended, odd):
    names = ("mfu", "flops_per_token", "peak_flops", "peak_source", "verdict")
    lines = [f"{name} = {odd}" for name in names]
    ended.summary.write_text("\n".join(["[cost]", *lines]))
    assert "<h1>first</h1>" in page_of(ended)
