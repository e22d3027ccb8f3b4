"""Several processes encode as one does."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slangmod.errors import DataError, RunError
from slangmod.text import together
from slangmod.text.together import Encoders
from slangmod.text.tokenizer import Codec
from tests.text.conftest import HARD, PROSE, learnt
from tests.text.foreign import sentencepiece_like


def encoded_together(texts, codec, processes):
    """The ids of all batches."""
    with Encoders(codec, processes) as encoders:
        yield from encoders.ids(texts)


def batches(number: int) -> list[list[str]]:
    return [[PROSE[i:], *HARD, str(i)] for i in range(number)]


@pytest.mark.parametrize("number", [0, 1, 2, 12])
def test_ids_come_back_in_their_order(number: int, monkeypatch) -> None:
    monkeypatch.setattr(together, "ALONE", 2)
    codec = learnt("bpe")
    found = list(encoded_together(iter(batches(number)), codec, 2))
    assert [[ids.tolist() for ids in each] for each in found] == [
        [ids.tolist() for ids in codec.encode_batch(texts)] for texts in batches(number)
    ]


@pytest.mark.parametrize("room", [1 << 22, 4000, 500])
def test_what_no_room_holds_is_encoded_here_or_sent(room: int, monkeypatch) -> None:
    """Bytes of texts, or of ids, of which there may be more: four for each byte."""
    monkeypatch.setattr(together, "ALONE", 0)
    monkeypatch.setattr(together, "ROOM", room)
    monkeypatch.setattr(together, "TOGETHER", 2)
    codec = learnt("byte")
    texts = [["\ud83d alone", "é" * 900, "", "日本" * n] for n in range(1, 400, 40)]
    found = list(encoded_together(iter(texts), codec, 3))
    assert [[ids.tolist() for ids in each] for each in found] == [
        [ids.tolist() for ids in codec.encode_batch(one)] for one in texts
    ]
    assert {str(ids.dtype) for each in found for ids in each} == {codec.dtype}


def test_a_short_text_starts_no_process(monkeypatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(together, "pool_of", never)
    assert len(list(encoded_together(batches(5), learnt("bpe"), 2))) == 5
    monkeypatch.setattr(together, "ALONE", 0)
    assert len(list(encoded_together(batches(5), learnt("bpe"), 1))) == 5


def test_the_processes_of_one_file_encode_the_next(monkeypatch) -> None:
    monkeypatch.setattr(together, "ALONE", 1)
    started = []
    real = together.pool_of
    monkeypatch.setattr(
        together, "pool_of", lambda *known: started.append(1) or real(*known)
    )
    codec = learnt("bpe")
    with Encoders(codec, 2) as encoders:
        for number in (1, 0, 5, 3):
            found = [*encoders.ids(batches(number))]
            assert [[ids.tolist() for ids in each] for each in found] == [
                [ids.tolist() for ids in codec.encode_batch(texts)]
                for texts in batches(number)
            ]
    assert started == [1]


def test_what_is_broken_off_spoils_nothing_that_follows(monkeypatch) -> None:
    monkeypatch.setattr(together, "ALONE", 0)
    codec = learnt("bpe")
    with Encoders(codec, 3) as encoders:
        broken = encoders.ids([PROSE[i:] * 20, str(i)] for i in range(60))
        for _ in range(20):
            next(broken)
        broken.close()
        found = [*encoders.ids(batches(30))]
    assert [[ids.tolist() for ids in each] for each in found] == [
        [ids.tolist() for ids in codec.encode_batch(texts)] for texts in batches(30)
    ]


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_process_that_dies_is_told(monkeypatch) -> None:
    monkeypatch.setattr(together, "ALONE", 0)
    before = {*children(os.getpid())}

    def texts() -> Iterator[list[str]]:
        for number, batch in enumerate(batches(40)):
            yield batch
            if number == 20:
                for child in {*children(os.getpid())} - before:
                    os.kill(child, signal.SIGKILL)

    with pytest.raises(RunError, match="threads = 1"):
        list(encoded_together(texts(), learnt("bpe"), 2))


WAITING = """
import time
from slangmod.text import together
from tests.text.conftest import learnt
def texts():
    for number in range(9):
        yield ["some text"] * 9
    print("begun", flush=True)
    time.sleep(60)
together.ALONE = 0
if __name__ == "__main__":
    with together.Encoders(learnt("bpe"), 2) as encoders:
        list(encoders.ids(texts()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_processes_end_with_the_one_that_was_killed(tmp_path) -> None:
    program = tmp_path / "waiting.py"
    program.write_text(WAITING)
    command = [sys.executable, str(program)]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=here) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        others = children(process.pid)
        assert len(others) >= 2
        process.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{one}").exists() for one in others):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def refused(number: int, most: int = 0):
    """What refuses to set aside more than ``most`` bytes, as error ``number``."""

    def refuse(_: int, __: int, size: int) -> None:
        if size > most:
            raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(("most", "processes"), [(0, 1), (together.ROOM * 6, 3)])
def test_where_memory_to_share_is_short_fewer_encode(
    monkeypatch, caplog, most, processes
) -> None:
    monkeypatch.setattr(together, "ALONE", 0)
    monkeypatch.setattr(os, "posix_fallocate", refused(errno.ENOSPC, most))
    codec = learnt("bpe")
    found = encoded_together(batches(5), codec, 5)
    assert [[ids.tolist() for ids in each] for each in found] == [
        [ids.tolist() for ids in codec.encode_batch(texts)] for texts in batches(5)
    ]
    (told,) = [one.getMessage() for one in caplog.records]
    assert "No space left on device" in told
    assert f"no more than {processes} encode" in told


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_that_sets_no_room_aside_is_used_as_it_is(monkeypatch, number) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refused(number))
    arena = together.memory_of(1 << 20)
    assert len(arena.buffer) == 1 << 20


def test_memory_to_share_is_there_and_not_only_promised() -> None:
    arena = together.memory_of(1 << 20)
    assert os.fstat(arena.fd).st_blocks * 512 >= 1 << 20


def test_a_library_that_panics_in_another_process_is_told_in_a_line(
    monkeypatch, capfd
) -> None:
    from tokenizers import Regex, pre_tokenizers

    monkeypatch.setattr(together, "ALONE", 0)
    tokenizer = sentencepiece_like()
    pattern = Regex("((zy)+(zy)+)+yq")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    texts = [["the fox"], *[["zy" * 60]] * 9]
    with pytest.raises(DataError, match="the tokenizer: breaks down on a text") as told:
        list(encoded_together(texts, Codec(tokenizer), 2))
    assert "\n" not in str(told.value)
    assert capfd.readouterr().err == ""
