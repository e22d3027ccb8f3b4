"""What a browser makes of the live page and of the report."""

import json
import os
import subprocess
import sys

import pytest

from slangmod.cli import main
from slangmod.runs.recorders import MemoryCsv, MemoryUse
from slangmod.runs.samples import Sample, SamplesFile
from tests.end_to_end.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
DRAWN = "performance.getEntriesByName('drawn').length"
TRACE = "document.getElementById('loss').data.find((one) => one.meta === '{}').{}"
MEMORY = "document.getElementById('chart-memory')?.data.map(({}) => {})"
RAW_TEXT = "document.querySelector('.text p:last-child span:last-child').textContent"


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "browser") as opened:
        yield opened


@pytest.fixture
def server(tmp_path):
    """Serves the live page of some runs; -> its address."""
    processes = []

    def start(*names):
        more = ["--web", "--workdir", str(tmp_path), "--plot.plot_frequency", "1"]
        process = subprocess.Popen(
            [sys.executable, "-m", "slangmod", "monitor", *names, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        processes.append(process)
        return process.stdout.readline().strip()

    yield start
    for process in processes:
        process.send_signal(2)
        assert process.wait(60) == 0
        process.stdout.close()


def columns(run, name):
    """A column of steps.csv."""
    head, *rows = (line.split(",") for line in run.steps.read_text().splitlines())
    return [float(row[head.index(name)]) for row in rows]


def figure(place, name):
    return (
        f"document.querySelector('#run-{place} [data-figure={name}] dd')?.textContent"
    )


def test_the_live_page_draws_a_run_and_goes_on_with_it(
    tmp_path, make_run, server, browser
):
    run = make_run("first")
    SamplesFile(run.samples).add(Sample(60, 38400, "Once", HOSTILE))
    with run.lock():
        browser.open(server("first"))
        browser.wait_for(DRAWN)
        assert browser.value(TRACE.format("training", "y")) == columns(run, "loss")
        assert browser.value(TRACE.format("training", "x")) == columns(run, "step")
        assert browser.value(TRACE.format("test", "x")) == [10, 20, 30, 40, 50, 60]
        assert browser.value(figure(0, "loss")) == "2.0500"
        assert browser.value(figure(0, "best_test_loss")) == "2.0000"
        assert "running" in browser.value("document.querySelector('.state').className")
        assert browser.value(RAW_TEXT) == HOSTILE
        with run.steps.open("a") as stream:
            stream.write("61,1,61,39040,1.25,0.001,0.5,41000.0\n")
        browser.wait_for(f"{figure(0, 'loss')} === '1.2500'")
        browser.wait_for(f"{TRACE.format('training', 'y')}.at(-1) === 1.25")
    browser.wait_for("document.querySelector('.state').textContent === 'stopped'")
    assert browser.value("document.title") == "first"
    assert browser.complaints == []


def test_axes_scales_and_runs_can_be_switched(tmp_path, make_run, server, browser):
    first, second = make_run("first"), make_run("second", steps=30)
    browser.open(server("first", "second"))
    browser.wait_for(DRAWN)
    traces = "document.getElementById('loss').data.length"
    assert browser.value(traces) == 4
    browser.value("document.querySelector('#run-1 input').click()")
    assert browser.value(traces) == 2
    browser.value("document.querySelector('#run-0 input').click()")
    browser.value("document.querySelector('#run-1 input').click()")
    browser.value("document.querySelector('[value=tokens]').click()")
    assert browser.value(TRACE.format("training", "x")) == columns(second, "tokens")
    browser.value("document.querySelector('[value=seconds]').click()")
    seconds = browser.value(TRACE.format("training", "x"))
    assert seconds == pytest.approx([640 * step / 41000 for step in range(1, 31)])
    browser.value("document.getElementById('log').click()")
    assert browser.value("document.getElementById('loss').layout.yaxis.type") == "log"
    assert browser.complaints == []
    assert columns(first, "step")[-1] == 60


def test_stages_are_marked_where_they_begin(make_run, server, browser):
    run = make_run("first", steps=0, evaluations=0)
    head = run.steps.read_text().strip()
    rows = [f"{s},1,{s},{s},1.5,1e-3,0.5,41.0,{1 + s // 4}" for s in range(1, 9)]
    run.steps.write_text("\n".join([f"{head},stage", *rows, ""]))
    browser.open(server("first"))
    browser.wait_for(DRAWN)
    shapes = "document.getElementById('loss').layout.shapes.map((one) => one.x0)"
    assert browser.value(shapes) == [3, 7]
    assert browser.complaints == []


def add_memory(run, *uses):
    """Mini-batches done, bytes of the process and of a GPU, of each row."""
    table = MemoryCsv(run.memory)
    for batch, resident, device in uses:
        table.add(MemoryUse(batch, batch, resident, device))
    table.close()


def test_memory_is_drawn_where_it_was_measured(make_run, server, browser):
    first = make_run("first", steps=6, evaluations=0)
    make_run("second", steps=6, evaluations=0)
    with first.lock():
        browser.open(server("first", "second"))
        browser.wait_for(DRAWN)
        assert browser.value(MEMORY.format("one", "one.y")) is None
        add_memory(first, (3, 2**30, None), (6, 3 * 2**29, None))
        browser.wait_for(MEMORY.format("one", "one.y"))
        assert browser.value(MEMORY.format("one", "[one.name, one.x, one.y]")) == [
            ["first, process", [*range(1, 7)], [None, None, 1, 1, 1, 1.5]]
        ]
        add_memory(first, (7, 2**30, 2**31))
        with first.steps.open("a") as stream:
            stream.write("7,1,7,4480,1.25,0.001,0.5,41000.0\n")
        browser.wait_for(f"{MEMORY.format('one', 'one.y')}.length === 2")
    browser.value("document.querySelector('#run-1 input').click()")
    browser.value("document.querySelector('[value=tokens]').click()")
    assert browser.value(
        MEMORY.format("one", "[one.name, one.line.dash, one.x.at(-1), one.y.at(-1)]")
    ) == [["process", "solid", 4480, 1], ["GPU", "dash", 4480, 2]]
    card = "document.getElementById('chart-memory').parentNode"
    caption = browser.value(f"{card}.querySelector('.caption').innerText").split()
    assert " ".join(caption) == "Memory GiB, that on the GPU dashed"
    assert browser.complaints == []


def test_a_zoom_survives_what_is_new(tmp_path, make_run, server, browser):
    run = make_run("first")
    with run.lock():
        browser.open(server("first"))
        browser.wait_for(DRAWN)
        browser.value(
            "Plotly.relayout('loss', {'xaxis.range': [20, 40]}).then(() => 1)"
        )
        with run.steps.open("a") as stream:
            stream.write("61,1,61,39040,1.25,0.001,0.5,41000.0\n")
        browser.wait_for(f"{TRACE.format('training', 'y')}.at(-1) === 1.25")
        shown = browser.value("document.getElementById('loss').layout.xaxis.range")
        assert shown == [20, 40]


def test_no_button_sends_what_is_drawn_anywhere(make_run, server, browser):
    make_run("first")
    browser.open(server("first"))
    browser.wait_for(DRAWN)
    titles = browser.value(
        "[...document.querySelectorAll('#loss .modebar-btn')].map((one) => "
        "one.getAttribute('data-title'))"
    )
    assert {title.split()[0] for title in titles} <= {
        "Download",
        "Zoom",
        "Pan",
        "Reset",
    }
    assert len(titles) == 6


def test_ten_thousand_rows_are_drawn_as_means(tmp_path, make_run, server, browser):
    run = make_run("first", steps=10_000)
    browser.open(server("first"))
    browser.wait_for(DRAWN)
    losses = columns(run, "loss")
    means = [sum(losses[at : at + 20]) / 20 for at in range(0, 10_000, 20)]
    browser.value("document.getElementById('smooth').click()")
    assert browser.value(TRACE.format("training", "y")) == pytest.approx(means)
    assert browser.value(TRACE.format("training", "x"))[:2] == [20, 40]


def test_the_report_opens_by_itself(tmp_path, make_run, browser):
    run = make_run("first")
    make_run("second")
    add_memory(run, (1, 2**30, None))
    run.config.write_text(f"note = {json.dumps(HOSTILE)}   # {HOSTILE}\n")
    SamplesFile(run.samples).add(Sample(60, 38400, "", HOSTILE))
    assert main(["report", "first", "second", "--workdir", str(tmp_path)]) == 0
    page = run.report.as_uri()
    browser.open(page)
    browser.wait_for(DRAWN)
    assert browser.value(TRACE.format("training", "y")) == columns(run, "loss")
    assert browser.value(MEMORY.format("one", "one.y")) == [[1] * 60]
    assert browser.value(RAW_TEXT) == HOSTILE
    assert HOSTILE in browser.value("document.querySelector('pre').textContent")
    assert browser.value("document.title") == "first, second"
    assert browser.complaints == []
    assert {url for url in browser.loaded if not url.startswith("data:")} == {page}
