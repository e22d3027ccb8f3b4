import json
import math

import numpy as np
import pytest

from slangmod.runs.points import MANY, MOST, Have, Points, stride_of
from slangmod.runs.recorders import MemoryCsv, MemoryUse
from slangmod.runs.samples import Sample, SamplesFile


def have(news):
    """What a page has that was told ``news`` alone."""
    start = news["start"]
    return Have(
        news["version"],
        start["points"] + len(news["points"].get("step", ())),
        start["tests"] + len(news["tests"].get("step", ())),
        start["samples"] + len(news["samples"]),
    )


def add_rows(run, first, last, more=""):
    with run.steps.open("a") as stream:
        for step in range(first, last + 1):
            stream.write(f"{step},1,{step},{640 * step},1.5,1e-3,0.5,41000.0{more}\n")


def add_memory(run, *uses):
    """Rows of memory.csv: mini-batches done, bytes of the process and of a GPU."""
    table = MemoryCsv(run.memory)
    for batch, resident, device in uses:
        table.add(MemoryUse(batch, batch, resident, device))
    table.close()


def test_a_short_run_is_told_row_by_row(make_run):
    news = Points(make_run("first"), 20).news(Have())
    assert news["points"]["step"] == list(range(1, 61))
    assert news["points"]["loss"] == [2 + 3 / step for step in range(1, 61)]
    assert news["tests"]["step"] == [10, 20, 30, 40, 50, 60]
    assert news["tail"]["step"] == []
    assert news["about"]["progress"]["best_step"] == 40


def test_only_what_a_page_does_not_have_is_told(make_run):
    run = make_run("first")
    points = Points(run, 20)
    first = points.news(Have())
    assert points.news(have(first))["points"]["step"] == []
    add_rows(run, 61, 63)
    SamplesFile(run.samples).add(Sample(61, 1, "", "text"))
    news = points.news(have(first))
    assert news["points"]["step"] == [61, 62, 63]
    assert news["tests"]["step"] == []
    assert [sample["step"] for sample in news["samples"]] == [61]


def test_a_point_of_a_long_run_is_the_mean_of_its_rows_and_stands_at_the_last(make_run):
    run = make_run("first", steps=MANY + 5, evaluations=0)
    news = Points(run, 20).news(Have())
    losses = 2 + 3 / np.arange(1, MANY + 1)
    assert news["rows_per_point"] == 20
    assert np.allclose(news["points"]["loss"], losses.reshape(-1, 20).mean(axis=1))
    assert news["points"]["step"] == list(range(20, MANY + 1, 20))
    assert news["tail"]["step"] == [MANY + 5]


def test_a_page_is_told_all_anew_when_points_begin_to_stand_for_more(make_run):
    run = make_run("first", steps=MANY, evaluations=0)
    points = Points(run, 20)
    first = points.news(Have())
    assert len(first["points"]["step"]) == MANY
    add_rows(run, MANY + 1, MANY + 1)
    news = points.news(have(first))
    assert news["start"]["points"] == 0
    assert len(news["points"]["step"]) == MANY // 20


@pytest.mark.parametrize("file", ["steps", "epochs", "samples"])
def test_a_page_is_told_all_anew_when_a_run_went_back(make_run, file):
    run = make_run("first")
    samples = SamplesFile(run.samples)
    samples.add(Sample(10, 1, "", "early"))
    samples.add(Sample(60, 1, "", "late"))
    points = Points(run, 20)
    first = points.news(Have())
    path = getattr(run, file)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    news = points.news(have(first))
    assert news["start"]["points"] == 0
    lengths = {
        "steps": len(news["points"]["step"]),
        "epochs": len(news["tests"]["step"]),
        "samples": len(news["samples"]),
    }
    assert lengths[file] == {"steps": 59, "epochs": 5, "samples": 1}[file]


@pytest.mark.parametrize("rows", [0, 1, MANY, MANY + 1, 10_000, 123_456, 10_000_000])
@pytest.mark.parametrize("frequency", [1, 20, 1000])
def test_a_picture_never_has_too_many_points(rows, frequency):
    assert rows / stride_of(rows, frequency) <= MOST


def test_seconds_are_those_of_training(make_run):
    news = Points(make_run("first"), 20).news(Have())
    assert news["points"]["seconds"] == pytest.approx(
        [640 * step / 41000 for step in range(1, 61)]
    )


def test_columns_that_only_some_runs_have_are_told_too(make_run):
    run = make_run("first", steps=0, evaluations=0)
    head = run.steps.read_text().strip()
    run.steps.write_text(f"{head},memory_bytes,stage\n")
    add_rows(run, 1, 3, ",1024.0,2")
    news = Points(run, 20).news(Have())
    assert news["points"]["memory_bytes"] == [1024.0] * 3
    assert news["points"]["stage"] == [2] * 3


def test_memory_is_told_as_it_was_measured_last_by_then(make_run):
    run = make_run("first", steps=6, evaluations=0)
    add_memory(run, (2, 100, None), (5, 300, 7), (7, 900, 9))
    points = Points(run, 20).news(Have())["points"]
    assert points["resident_bytes"] == [None, 100, 100, 100, 300, 300]
    assert points["device_bytes"] == [None, None, None, None, 7, 7]


def test_memory_of_a_long_run_is_the_mean_as_all_else(make_run):
    run = make_run("first", steps=MANY + 5, evaluations=0)
    add_memory(run, (1, 100, None), (11, 300, None))
    points = Points(run, 20).news(Have())["points"]
    assert points["resident_bytes"] == [200, *[300] * (MANY // 20 - 1)]
    assert set(points["device_bytes"]) == {None}


@pytest.mark.parametrize("file", [None, "step,batch,resident_bytes,device_bytes\n"])
def test_of_a_run_whose_memory_was_not_measured_none_is_told(make_run, file):
    run = make_run("first")
    if file is not None:
        run.memory.write_text(file)
    news = Points(run, 20).news(Have())
    assert "resident_bytes" not in {*news["points"], *news["tail"]}


def test_a_page_is_told_all_anew_when_memory_is_measured_from_now_on(make_run):
    run = make_run("first")
    points = Points(run, 20)
    first = points.news(Have())
    add_memory(run, (60, 100, None))
    add_rows(run, 61, 61)
    news = points.news(have(first))
    assert news["start"]["points"] == 0
    assert {len(of) for of in news["points"].values()} == {61}
    assert points.news(have(news))["points"]["resident_bytes"] == []


def test_what_is_no_number_is_told_as_nothing_and_left_out_of_means(make_run):
    run = make_run("first", steps=0, evaluations=0)
    with run.steps.open("a") as stream:
        stream.write("1,1,1,640,nan,,inf,41000.0\n")
    points = Points(run, 20).news(Have())["points"]
    assert (points["loss"], points["learning_rate"]) == ([None], [None])
    add_rows(run, 2, MANY + 1)
    points = Points(run, 20).news(Have())["points"]
    assert points["grad_norm"][0] == 0.5
    assert not any(math.isnan(x) for x in points["seconds"])


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"a,b\n1,2\n", b"\0" * 50, b"step\n"]
)
def test_broken_files_are_told_as_far_as_they_go(make_run, content):
    run = make_run("first")
    tables = run.steps, run.epochs, run.memory
    for path in (run.config, run.summary, run.samples, *tables):
        path.write_bytes(content)
    json.dumps(Points(run, 20).news(Have()), allow_nan=False)


@pytest.mark.parametrize("content", [b"\xff", b"1,nan,1,1\n", b"1,,1,1\n9,-3,x,\n"])
def test_broken_tables_of_memory_leave_the_rest_as_it_is(make_run, content):
    run = make_run("first")
    whole = Points(run, 20).news(Have())["points"]
    run.memory.write_bytes(b"step,batch,resident_bytes,device_bytes\n" + content)
    news = Points(run, 20).news(Have())
    json.dumps(news, allow_nan=False)
    assert {name: news["points"][name] for name in whole} == whole


@pytest.mark.parametrize("has", [10**9, 61])
def test_a_page_that_claims_too_much_is_told_nothing(make_run, has):
    points = Points(make_run("first"), 20)
    version = points.news(Have())["version"]
    news = points.news(Have(version, has, has, has))
    assert news["points"]["step"] == news["tests"]["step"] == news["samples"] == []
