import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from slangmod.complaints import Complaints
from slangmod.runs.recorders import (
    AVERAGE_COLUMNS,
    SPEED_COLUMNS,
    EpochsCsv,
    MemoryCsv,
    MemoryUse,
    SpeedCsv,
    StepsCsv,
)
from slangmod.training.events import EpochDone, Progress, StepDone

STEP = StepDone(1, 1, 2, 640, 1 / 3, 3e-4, 0.1, 41234.5)
EPOCH = EpochDone(1, 25, 6400, 2 / 3, 0.7, 1e-3, 12.25, best=True)


def rows_of(path):
    return path.read_text().splitlines()


def write_steps(path, batches):
    table = StepsCsv(path)
    for batch in batches:
        table(replace(STEP, batch=batch))
    table.close()


def test_the_headers_are_those_of_the_contract(tmp_path):
    StepsCsv(tmp_path / "steps.csv").close()
    EpochsCsv(tmp_path / "epochs.csv").close()
    assert rows_of(tmp_path / "steps.csv") == [
        "step,epoch,batch,tokens,loss,learning_rate,grad_norm,tokens_per_second"
    ]
    assert rows_of(tmp_path / "epochs.csv") == [
        "epoch,step,tokens,train_loss,test_loss,learning_rate,seconds"
    ]


def test_memory_is_a_table_that_goes_by_mini_batches(tmp_path):
    path = tmp_path / "memory.csv"
    table = MemoryCsv(path)
    for step in (1, 2, 3):
        table.add(MemoryUse(step, 2 * step, 1024, None if step == 1 else 512))
    table.cut_after(5)
    table.close()
    assert path.read_text() == (
        "step,batch,resident_bytes,device_bytes\n1,2,1024,\n2,4,1024,512\n"
    )


def test_speed_is_a_table_that_goes_by_mini_batches(tmp_path):
    path = tmp_path / "speed.csv"
    table = SpeedCsv(path)
    for step in (1, 2, 3):
        row = dict.fromkeys(SPEED_COLUMNS, 0.5) | {"step": step, "batch": 2 * step}
        table.add(SimpleNamespace(**row))
    table.cut_after(5)
    table.close()
    header, *rows = rows_of(path)
    assert header == (
        "step,batch,tokens,seconds,tokens_per_second,mfu,data,forward_backward,"
        "optimizer,evaluation,checkpoint,logging,rest"
    )
    assert [row.split(",")[:2] for row in rows] == [["1", "2"], ["2", "4"]]


def test_rows_hold_numbers_in_full_precision(tmp_path):
    table = StepsCsv(tmp_path / "steps.csv")
    table(STEP)
    cells = rows_of(tmp_path / "steps.csv")[1].split(",")
    assert cells[:4] == ["1", "1", "2", "640"]
    assert [float(cell) for cell in cells[4:]] == [1 / 3, 3e-4, 0.1, 41234.5]


def test_what_is_unknown_before_the_first_step_is_empty(tmp_path):
    table = StepsCsv(tmp_path / "steps.csv")
    table(replace(STEP, learning_rate=None, grad_norm=None))
    assert rows_of(tmp_path / "steps.csv")[1].split(",")[5:7] == ["", ""]


def test_a_loss_that_is_no_number_can_be_read_back(tmp_path):
    table = StepsCsv(tmp_path / "steps.csv")
    table(replace(STEP, loss=math.nan))
    assert math.isnan(float(rows_of(tmp_path / "steps.csv")[1].split(",")[4]))


def test_a_row_can_be_read_as_soon_as_the_event_is_told(tmp_path):
    table = EpochsCsv(tmp_path / "epochs.csv")
    for number in (1, 2, 3):
        table(EPOCH)
        assert len(rows_of(tmp_path / "epochs.csv")) == 1 + number


def test_each_table_takes_its_own_events_only(tmp_path):
    steps, epochs = StepsCsv(tmp_path / "s.csv"), EpochsCsv(tmp_path / "e.csv")
    for event in (STEP, EPOCH, Progress(1, 2, 3, 4.0)):
        steps(event)
        epochs(event)
    assert len(rows_of(tmp_path / "s.csv")) == len(rows_of(tmp_path / "e.csv")) == 2


@pytest.mark.parametrize("kept", [0, 1, 4, 7, 10, 99])
def test_cutting_leaves_the_rows_up_to_the_checkpoint(tmp_path, kept):
    path = tmp_path / "steps.csv"
    write_steps(path, range(1, 11))
    before = rows_of(path)
    table = StepsCsv(path)
    table.cut_after(kept)
    table(replace(STEP, batch=kept + 1))
    table.close()
    after = rows_of(path)
    assert after[:-1] == before[: 1 + kept]
    assert after[-1].split(",")[2] == str(kept + 1)


def test_epochs_are_cut_by_optimizer_steps(tmp_path):
    path = tmp_path / "epochs.csv"
    table = EpochsCsv(path)
    for step in (10, 20, 30):
        table(replace(EPOCH, step=step))
    table.cut_after(20)
    table.close()
    assert [row.split(",")[1] for row in rows_of(path)] == ["step", "10", "20"]


@pytest.mark.parametrize(
    "torn", [b"1,1,11,64", b"\0" * 20, b"11\n", b"a,b,c,d,e,f,g,h\n"]
)
def test_a_torn_last_row_is_gone_when_the_table_is_carried_on(tmp_path, torn):
    path = tmp_path / "steps.csv"
    write_steps(path, range(1, 11))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    write_steps(path, [11])
    assert path.read_bytes().startswith(whole)
    assert [row.split(",")[2] for row in rows_of(path)[-2:]] == ["10", "11"]


@pytest.mark.parametrize("start", ["", "step,epo", "step"])
def test_a_table_with_half_a_header_begins_anew(tmp_path, start):
    path = tmp_path / "steps.csv"
    path.write_text(start)
    write_steps(path, [1])
    assert [row.split(",")[2] for row in rows_of(path)] == ["batch", "1"]


def test_a_table_with_other_columns_is_moved_aside_and_kept(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("mine\n1\n")
    write_steps(path, [1])
    assert (tmp_path / "steps.csv.old").read_text() == "mine\n1\n"
    assert len(rows_of(path)) == 2


class FullDisk:
    """Stands in for os.write: takes ``room`` bytes, then refuses."""

    def __init__(self, write, room):
        self.write = write
        self.room = room

    def __call__(self, descriptor, content):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        done = self.write(descriptor, bytes(content)[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("room", [0, 1, 70, 100, 150])
def test_a_full_disk_delays_rows_and_loses_none(tmp_path, monkeypatch, caplog, room):
    import os

    write = os.write
    now = [0.0]
    disk = FullDisk(write, room)
    monkeypatch.setattr("slangmod.files.os.write", disk)
    table = StepsCsv(tmp_path / "steps.csv", Complaints(lambda: now[0]))
    for batch in range(1, 6):
        now[0] += 10
        table(replace(STEP, batch=batch))
    warnings = [
        record for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0].getMessage()
    now[0] += 60
    table(replace(STEP, batch=6))
    assert len(caplog.records) == 2
    disk.room = 10**6
    table(replace(STEP, batch=7))
    rows = rows_of(tmp_path / "steps.csv")
    assert [row.split(",")[2] for row in rows] == ["batch", *map(str, range(1, 8))]


def test_rows_lost_at_the_very_end_are_admitted(tmp_path, monkeypatch, caplog):
    table = StepsCsv(tmp_path / "steps.csv")
    monkeypatch.setattr("slangmod.files.os.write", FullDisk(None, 0))
    table(STEP)
    caplog.clear()
    table.close()
    assert "lost" in caplog.text


def test_a_folder_that_vanishes_does_not_stop_training(tmp_path, caplog):
    table = StepsCsv(tmp_path / "gone" / "steps.csv")
    table(STEP)
    table.sync()
    assert len(caplog.records) == 1
    (tmp_path / "gone").mkdir()
    table(replace(STEP, batch=3))
    assert len(rows_of(tmp_path / "gone" / "steps.csv")) == 3


def test_the_loss_of_the_average_is_one_more_column(tmp_path):
    table = EpochsCsv(tmp_path / "epochs.csv", more=AVERAGE_COLUMNS)
    table(replace(EPOCH, ema_test_loss=0.6))
    table.close()
    header, row = (tmp_path / "epochs.csv").read_text().splitlines()
    assert header == (
        "epoch,step,tokens,train_loss,test_loss,learning_rate,seconds,ema_test_loss"
    )
    assert row.endswith(",0.7,0.001,12.25,0.6")


def test_more_columns_come_last_and_none_are_there_unasked(tmp_path):
    for table, row in ((StepsCsv, STEP), (EpochsCsv, EPOCH)):
        path = tmp_path / f"{table.__name__}.csv"
        for more, event in ((("stage",), replace(row, stage=3)), ((), row)):
            path.unlink(missing_ok=True)
            writer = table(path, more=more)
            writer(event)
            writer.close()
            header, cells = (line.split(",") for line in rows_of(path))
            assert header[len(header) - len(more) :] == list(more)
            assert len(header) == len(cells)
            assert ("stage" in header) == bool(more)
            assert not more or cells[-1] == "3"
