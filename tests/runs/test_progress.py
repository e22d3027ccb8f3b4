import io
import logging
import math
from dataclasses import replace

import pytest

from slangmod.runs.progress import (
    LogLines,
    ProgressBar,
    ProgressLines,
    open_progress,
)
from slangmod.training.events import EpochDone, Progress, StepDone, TrainingDone

END = TrainingDone("max_epochs", 100, 4, 75, 1.25, "all epochs are done")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def all_records(caplog):
    caplog.set_level(logging.INFO, "slangmod")


def step(batch):
    return StepDone(batch, 1, batch, 640 * batch, 2.5, 1e-3, 0.5, 41234.0)


def evaluation(best):
    return EpochDone(3, 75, 48000, 1.5, 1.25, 1e-3, 80.0, best)


@pytest.mark.parametrize(
    ("show_bar", "stream", "kind"),
    [
        (True, Terminal(), ProgressBar),
        (False, Terminal(), ProgressLines),
        (True, io.StringIO(), ProgressLines),
    ],
)
def test_a_bar_is_for_terminals_where_it_is_wanted(show_bar, stream, kind):
    assert type(open_progress(show_bar, stream)) is kind


def test_the_bar_shows_loss_rate_speed_and_time_left(monkeypatch):
    monkeypatch.setattr("slangmod.runs.progress.tqdm.monitor_interval", 0)
    stream = Terminal()
    bar = ProgressBar(stream)
    for batch in range(1, 101):
        bar(Progress(batch, 100, 640 * batch, float(batch)))
        bar(step(batch))
    bar(END)
    last = stream.getvalue().split("\r")[-1]
    for part in ("epoch 1", "100%", "100/100", "<", "loss  2.5000", "lr 1.00e-03"):
        assert part in last
    assert "640 tokens/s" in last


def test_bar_and_lines_tell_the_share_of_the_peak_where_it_is_known(caplog):
    stream = Terminal()
    for shown in (ProgressBar(stream), ProgressLines()):
        shown.best_speed = 3200.0
        for batch in range(1, 41):
            shown(Progress(batch, 100, 640 * batch, float(batch)))
        shown.close()
    assert "640 tokens/s | MFU  20 %" in stream.getvalue()
    assert "640 tokens/s | MFU  20 % | " in caplog.text


def test_log_lines_appear_above_the_bar_while_it_is_there_and_not_after():
    stream = Terminal()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("slangmod")
    logger.addHandler(handler)
    try:
        bar = ProgressBar(stream)
        bar(Progress(1, 100, 640, 1.0))
        logger.info("hello")
        wiped_first = stream.getvalue()
        bar.close()
        assert handler.filters == []
    finally:
        logger.removeHandler(handler)
    before, _, after = wiped_first.rpartition("\r")
    assert "|" in before
    assert after.strip() == "hello"


def test_a_resumed_bar_starts_where_the_run_stopped():
    stream = Terminal()
    bar = ProgressBar(stream)
    bar(Progress(60, 100, 640, 1.0))
    bar.close()
    assert "60/100" in stream.getvalue()


def test_plain_lines_come_every_twentieth_of_the_way(caplog):
    lines = ProgressLines()
    for batch in range(1, 1001):
        lines(step(batch))
        lines(Progress(batch, 1000, 640 * batch, 0.5 * batch))
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 20
    assert texts[1].startswith("batch  100/1000 ( 10 %) | loss  2.5000 | lr 1.00e-03")
    assert texts[1].endswith("| 1.3k tokens/s | 7m30s left")


def test_plain_lines_come_at_least_once_a_minute(caplog):
    lines = ProgressLines()
    for batch in range(1, 11):
        lines(Progress(batch, 10**6, 640 * batch, 61.0 * batch))
    assert len(caplog.records) == 9


def test_plain_lines_of_a_fast_run_are_seconds_apart(caplog):
    lines = ProgressLines()
    for batch in range(1, 101):
        lines(Progress(batch, 100, 640 * batch, 0.1 * batch))
    assert len(caplog.records) == 4


@pytest.mark.parametrize("best", [True, False])
def test_an_evaluation_is_one_line(caplog, best):
    LogLines()(evaluation(best))
    (record,) = caplog.records
    text = record.getMessage()
    assert "epoch   3 | step      75 | train 1.5000 | test 1.2500" in text
    assert f"{math.exp(1.25):.2f}" in text
    assert text.endswith("best") == best


def test_an_evaluation_of_the_average_is_in_the_line(caplog):
    LogLines()(replace(evaluation(best=True), ema_test_loss=1.2))
    assert "| test 1.2500 | average 1.2000 | perplexity" in caplog.text


def test_the_end_says_why_and_what_was_best(caplog):
    LogLines()(END)
    text = caplog.text
    assert "stopped after 100 steps in 4 epochs because all epochs are done;" in text
    assert "best test loss 1.2500 at step 75" in text
