import logging

import pytest

from slangmod.complaints import Complaints
from slangmod.runs.logfile import RunLog


@pytest.fixture
def logger():
    logger = logging.Logger("slangmod.test", logging.DEBUG)
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_records_from_before_the_run_had_a_folder_come_first(tmp_path, logger):
    log = RunLog()
    logger.addHandler(log)
    logger.info("early")
    log.open(tmp_path / "train.log")
    logger.info("late")
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split()[2:] for line in lines] == [["INFO", "early"], ["INFO", "late"]]


def test_each_line_has_time_and_level(tmp_path, logger):
    log = RunLog()
    logger.addHandler(log)
    log.open(tmp_path / "train.log")
    logger.warning("careful")
    date, time, level, message = (tmp_path / "train.log").read_text().split()
    assert (len(date), len(time)) == (10, 12)
    assert (level, message) == ("WARNING", "careful")


def test_every_sign_there_is_makes_one_line_without_controls(tmp_path, logger):
    log = RunLog()
    logger.addHandler(log)
    log.open(tmp_path / "train.log")
    nasty = "".join(map(chr, range(0x250))) + "\u2028\u202e\u200b\ufeff\ud800"
    logger.info("%s", nasty)
    logger.error("with a trace", exc_info=ValueError("a\nb"))
    content = (tmp_path / "train.log").read_bytes()
    assert content.count(b"\n") == 2
    assert all(line.isprintable() for line in content.decode().split("\n"))


def test_a_torn_last_line_is_ended_before_the_next(tmp_path, logger):
    (tmp_path / "train.log").write_text("whole\ntor")
    log = RunLog()
    logger.addHandler(log)
    log.open(tmp_path / "train.log")
    logger.info("next")
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert lines[:2] == ["whole", "tor"]
    assert lines[2].endswith("next")


def test_records_below_the_level_are_left_out(tmp_path, logger):
    log = RunLog(logging.WARNING)
    logger.addHandler(log)
    log.open(tmp_path / "train.log")
    logger.info("quiet")
    assert not (tmp_path / "train.log").exists()


def test_a_full_disk_is_reported_once_and_does_not_raise(tmp_path, monkeypatch):
    seen = []

    class Seen(logging.Handler):
        def emit(self, record):
            seen.append(record.getMessage())

    def refuse(descriptor, content):
        raise OSError(28, "No space left on device")

    top = logging.getLogger("slangmod")
    log = RunLog(complaints=Complaints(lambda: 0.0))
    handlers = (log, Seen())
    for handler in handlers:
        top.addHandler(handler)
    try:
        log.open(tmp_path / "train.log")
        monkeypatch.setattr("slangmod.files.os.write", refuse)
        for _ in range(3):
            top.warning("something")
        monkeypatch.undo()
        top.warning("again")
    finally:
        for handler in handlers:
            top.removeHandler(handler)
        log.close()
    assert sum("No space left" in message for message in seen) == 1
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert sum("something" in line for line in lines) == 3
    assert "again" in lines[-1]
