import json

import pytest

from slangmod.runs.samples import Sample, SamplesFile, SamplesReader, sample_of

SAMPLES = [
    Sample(step, 100 * step, "Once", f"text {step}\n\u2028é") for step in (1, 2, 3)
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "samples.jsonl"
    file = SamplesFile(path)
    for sample in SAMPLES:
        file.add(sample)
    file.close()
    return path


def read(path):
    reader = SamplesReader(path)
    reader.refresh()
    return reader.samples


def test_what_is_written_is_read(path):
    assert read(path) == SAMPLES
    assert [json.loads(line)["step"] for line in path.open()] == [1, 2, 3]


def test_no_file_is_made_without_a_sample(tmp_path):
    file = SamplesFile(tmp_path / "samples.jsonl")
    file.sync()
    file.cut_after(0)
    file.close()
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path / "samples.jsonl") == []


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4])
def test_a_resumed_run_drops_what_it_writes_again(path, step):
    whole = path.read_bytes()
    file = SamplesFile(path)
    file.cut_after(step)
    assert read(path) == SAMPLES[:step]
    for sample in SAMPLES[step:]:
        file.add(sample)
    file.close()
    assert path.read_bytes() == whole


def test_a_torn_last_line_is_dropped(path):
    with path.open("ab") as stream:
        stream.write(b'{"step": 4, "tok')
    assert read(path) == SAMPLES
    SamplesFile(path).cut_after(9)
    assert path.read_bytes().endswith(b"}\n")
    assert read(path) == SAMPLES


def test_only_what_is_new_is_read_again_unless_the_file_shrank(path):
    reader = SamplesReader(path)
    reader.refresh()
    with path.open("a") as stream:
        stream.write('{"step": 4, "tokens": 1, "prompt": "", "text": "x"}\n')
    reader.refresh()
    assert [sample.step for sample in reader.samples] == [1, 2, 3, 4]
    before = reader.beginnings
    SamplesFile(path).cut_after(1)
    reader.refresh()
    assert [sample.step for sample in reader.samples] == [1]
    assert reader.beginnings == before + 1


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{}\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"step": "1", "tokens": 1, "prompt": "", "text": ""}\n',
        b'{"step": 1, "tokens": 1, "prompt": 5, "text": ""}\n',
        b'{"step": 1, "tokens": 1, "prompt": "", "text": ""}',
    ],
)
def test_what_is_no_sample_is_passed_over(line):
    assert sample_of(line) is None
