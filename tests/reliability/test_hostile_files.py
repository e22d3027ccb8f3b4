"""Files that mean harm are refused in a line, in bounded memory, and run nothing."""

import ast
import gzip
import io
import json
import os
import pickle
import random
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slangmod
from slangmod.errors import DataError, SettingsError
from slangmod.reading import LARGEST_JSON, read_json
from slangmod.settings import load_settings
from slangmod.settings.read import parse_toml
from slangmod.text.documents import RawFile
from slangmod.text.readers import Oddities, read_documents
from slangmod.text.tokenizer import Codec
from tests.text.conftest import learnt
from tests.text.foreign import bert_like, sentencepiece_like

PACKAGE = Path(slangmod.__file__).parent
GIGABYTE = 1 << 30
CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
import slangmod.cli
import {module}
def used():
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line[:6] == "VmHWM:")
before = used()
{body}
print("grown", used() - before)
"""


def in_a_process(module: str, body: str) -> tuple[str, str, int]:
    """What a process says that runs ``body``, and by how many bytes it grew."""
    process = subprocess.run(
        [sys.executable, "-c", CHILD.format(module=module, body=body)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said, _, grown = process.stdout.rpartition("grown ")
    assert process.returncode == 0, process.stderr[-2000:]
    assert "Traceback" not in process.stderr
    return said, process.stderr, 1024 * int(grown)


def reading(path: Path) -> tuple[str, int]:
    """What is said when the raw file ``path`` is read, and the memory that it took."""
    said, _, grown = in_a_process(
        "slangmod.text.readers as r",
        "from slangmod.text.documents import find_files\n"
        "from slangmod.errors import DataError\n"
        f"file, = find_files({str(path)!r}, None, '/nowhere')\n"
        "try:\n"
        "    print(sum(len(t) for t in r.read_documents(file, 'text', r.Oddities())))\n"
        "except DataError as error:\n"
        "    print('refused', error)\n",
    )
    return said, grown


def zipped(path: Path, block: bytes, times: int) -> Path:
    with gzip.open(path, "wb", 1) as stream:
        for _ in range(times):
            stream.write(block)
    return path


def bomb(path: Path) -> Path:
    """A parquet file of some kilobytes, of one row group, that holds 2 GB of text."""
    values = pa.array(["a" * (1 << 20)])
    indices = pa.array([0] * 2000, pa.int32())
    table = pa.table({"text": pa.DictionaryArray.from_arrays(indices, values)})
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 10_000
    return path


@pytest.mark.slow
def test_what_unpacks_to_gigabytes_is_refused_in_little_memory(
    tmp_path, promise
) -> None:
    mega = 1 << 20
    bombs = {
        "text": zipped(tmp_path / "a.txt.gz", b"a" * mega, 300),
        "line": zipped(tmp_path / "a.jsonl.gz", b'{"a":' * (mega // 5), 60),
        "parquet": zipped(tmp_path / "a.parquet.gz", b"PAR1" * (mega // 4), 300),
    }
    for kind, path in bombs.items():
        said, grown = reading(path)
        assert said.startswith(f"refused {path}"), kind
        assert grown < GIGABYTE, kind
    promise("R17", len(bombs))


@pytest.mark.slow
def test_a_parquet_bomb_costs_this_process_next_to_nothing(tmp_path, promise) -> None:
    said, grown = reading(bomb(tmp_path / "bomb.parquet"))
    assert said.startswith("refused") or int(said) == 2000 << 20
    assert grown < 200 << 20
    promise("R17", 1)


def changed(content: bytes, chance: random.Random) -> bytes:
    """``content`` with some bytes flipped, cut out, doubled or replaced by numbers."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(result))
        match chance.randrange(5):
            case 0:
                result[place] ^= 1 << chance.randrange(8)
            case 1:
                del result[place : place + chance.randrange(1, 40)]
            case 2:
                result[place:place] = result[place : place + chance.randrange(1, 40)]
            case 3:
                del result[place:]
            case 4:
                digits = [i for i, byte in enumerate(result) if 48 <= byte < 58]
                where = chance.choice(digits or [0])
                numbers = (
                    b"-1",
                    b"99999999999",
                    b"4294967295",
                    b"1e30",
                    b"null",
                    b"{}",
                )
                result[where : where + 1] = chance.choice(numbers)
        result = result or bytearray(b"0")
    return bytes(result)


@pytest.mark.parametrize(
    "trials", [pytest.param(10), pytest.param(400, marks=pytest.mark.slow)]
)
def test_no_changed_tokenizer_ends_this_process(tmp_path, trials, promise) -> None:
    chance = random.Random(trials)
    kinds = [learnt("byte").to_json(), learnt("unigram").to_json()]
    kinds += [bert_like().to_str(), sentencepiece_like().to_str()]
    path = tmp_path / "tokenizer.json"
    loaded = 0
    for number in range(trials):
        path.write_bytes(changed(kinds[number % len(kinds)].encode(), chance))
        try:
            codec = Codec.load(path)
            ids = codec.encode("The quick fox é 😀")
            assert all(0 <= one < codec.vocab_size for one in ids)
            codec.decode(ids)
            loaded += 1
        except DataError as error:
            assert "\n" not in str(error)
    assert loaded < trials
    promise("R17", trials)


@pytest.mark.parametrize(
    "trials", [pytest.param(3), pytest.param(150, marks=pytest.mark.slow)]
)
def test_no_changed_parquet_file_ends_this_process(tmp_path, trials, promise) -> None:
    chance = random.Random(trials)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"text {i}" * 9 for i in range(200)]}), sink)
    sound = sink.getvalue().to_pybytes()
    file = RawFile(tmp_path / "a.parquet", "a.parquet", ".parquet", "")
    refused = 0
    for _ in range(trials):
        file.path.write_bytes(changed(sound, chance))
        try:
            list(read_documents(file, "text", Oddities()))
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused or trials < 10
    promise("R17", trials)


JSONS = {
    "deep": b"[" * 10**6,
    "deep tables": b'{"a":' * 10**5,
    "long number": b"9" * 10**6,
    "half a character": b'"\xff"',
    "nothing": b"",
    "large": b"",
}


@pytest.mark.parametrize("kind", JSONS)
def test_json_that_no_program_should_read_is_an_error_of_one_kind(
    tmp_path, kind, promise
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(JSONS[kind])
    if kind == "large":
        os.truncate(path, LARGEST_JSON + 1)
    with pytest.raises(ValueError, match=r".") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)
    promise("R17", 1)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_json(tmp_path / name)


@pytest.mark.slow
def test_the_worst_json_of_the_largest_size_fits_into_memory(tmp_path, promise) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + b"{}," * (LARGEST_JSON // 3 - 1) + b"0]")
    _, _, grown = in_a_process(
        "slangmod.reading as r",
        f"from pathlib import Path\nr.read_json(Path({str(path)!r}))",
    )
    assert grown < GIGABYTE
    promise("R17", 1)


def test_a_table_of_one_endless_line_costs_no_memory(tmp_path, promise) -> None:
    path = tmp_path / "steps.csv"
    with path.open("wb") as stream:
        stream.write(b"step,loss\n1,2\n")
        stream.truncate(GIGABYTE // 8)
    _, _, grown = in_a_process(
        "slangmod.runs.series as s",
        f"from pathlib import Path\npath = Path({str(path)!r})\n"
        "assert len(s.read_series(path, None)) == 1\n"
        "s.last_row(path)",
    )
    assert grown < 20 << 20
    promise("R17", 1)


def grown_by(path: Path, body: str) -> int:
    """Memory that a process takes for ``body``, which has the file as ``path``."""
    imports = (
        "slangmod.runs.recorders\n"
        "from slangmod.runs import incidents, samples, series\n"
        "from slangmod.runs.recorders import STEP_COLUMNS\n"
        "from pathlib import Path"
    )
    return in_a_process(imports, f"path = Path({str(path)!r})\n{body}")[2]


ROWS = {
    "newlines": (b"\n", 1 << 20, 1),
    "newlines under a header": (b"step,loss\n" + b"\n" * 99, 10_000, 1),
    "rows of one cell": (b"1\n", 1 << 19, 20),
    "rows of empty cells": (b",\n", 1 << 19, 30),
    "columns": (b"a," * 32_000 + b"\n", 60, 40),
}
"""What is written over and over, how often, and how many times that it may take."""


@pytest.mark.parametrize("kind", ROWS)
def test_a_table_costs_a_few_times_what_it_holds(tmp_path, kind, promise) -> None:
    block, times, share = ROWS[kind]
    path = tmp_path / "steps.csv"
    path.write_bytes(b"step\n" * (kind == "rows of one cell") + block * times)
    body = "kept = [series.read_series(path, of) for of in (STEP_COLUMNS, None)]\n"
    assert grown_by(path, body) < (10 << 20) + share * len(block) * times
    promise("R17", 1)


def test_of_endless_samples_the_last_are_kept(tmp_path, promise) -> None:
    path = tmp_path / "samples.jsonl"
    line = b'{"step": 1, "tokens": 1, "prompt": "", "text": ""}\n'
    path.write_bytes(line * (60 * (1 << 20) // len(line)) + line.replace(b"1", b"2"))
    body = (
        "reader = samples.SamplesReader(path)\nreader.refresh()\n"
        "assert reader.samples[-1].step == 2\n"
        "assert reader.beginnings == 2\n"
    )
    assert grown_by(path, body) < 70 << 20
    promise("R17", 1)


def test_of_endless_incidents_the_last_are_known(tmp_path, promise) -> None:
    path = tmp_path / "incidents.jsonl"
    with path.open("w") as stream:
        stream.writelines(f'{{"incident": "{number}"}}\n' for number in range(10**5))
        stream.truncate(GIGABYTE // 8)  # a line that no newline ends
    body = (
        "known = incidents.last_lines(path)\n"
        "assert len(known) == incidents.MANY\n"
        'assert incidents.hash_of(b\'{"incident": "99999"}\\n\') in known\n'
    )
    assert grown_by(path, body) < 20 << 20
    assert path.stat().st_size < 30 << 20
    promise("R17", 1)


def test_a_huge_file_of_settings_is_not_in_a_report(here, promise) -> None:
    path = here.folder / "runs" / "first" / "config.toml"
    path.write_bytes(b"# precious\n")
    with path.open("ab") as stream:
        stream.truncate(GIGABYTE)
    tracemalloc.start()
    assert here.run("report").code == 0
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    page = (here.folder / "runs" / "first" / "report.html").read_text("utf-8")
    assert "precious" not in page
    promise("R17", 1)


WORDS = st.sampled_from(
    [
        "[train]",
        "[[stage]]",
        "a",
        "train.learning_rate",
        "=",
        "1",
        "3e-4",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        '"""',
        "\n",
        ".",
        ",",
        "nan",
        "true",
        "\\",
        "#",
        "1979-05-27",
        "\x00",
        "-",
        "é",
        "\ufeff",
        "model.dim",
        "size",
        "base",
        '"tiny"',
        "\r",
    ]
)


def refused_or_read(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    try:
        load_settings(path)
    except SettingsError as error:
        assert error.problems
        assert all("\n" not in problem for problem in error.problems)


@pytest.mark.slow
@settings(
    max_examples=10_000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(words=st.lists(st.one_of(WORDS, st.text(max_size=9)), max_size=30))
def test_any_text_is_settings_or_refused(tmp_path, words) -> None:
    refused_or_read(" ".join(words).encode("utf-8", "replace"), tmp_path / "a.toml")


@pytest.mark.parametrize(
    "trials", [pytest.param(100), pytest.param(5000, marks=pytest.mark.slow)]
)
def test_changed_files_of_settings_are_settings_or_refused(
    tmp_path, trials, promise
) -> None:
    chance = random.Random(trials)
    sound = (PACKAGE.parent / "config.example.toml").read_bytes()[:6000]
    for _ in range(trials):
        refused_or_read(changed(sound, chance), tmp_path / "a.toml")
    promise("R17", trials)


TOMLS = {
    "deep lists": b"a = " + b"[" * 10**5,
    "deep tables": b"a = " + b"{b=" * 10**5,
    "long key": b"a." * 16_000 + b"b = 1",
    "long number": b"a = " + b"9" * 5000,
    "large": b"#" * (1 << 21),
    "many tables": b"[[stage]]\n" * 90_000,
}


@pytest.mark.parametrize("kind", TOMLS)
def test_a_toml_file_that_attacks_its_reader_is_refused_soon(
    tmp_path, kind, promise
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    path = tmp_path / "a.toml"
    path.write_bytes(TOMLS[kind])
    with pytest.raises(SettingsError):
        load_settings(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 10
    promise("R17", 1)


class Evil:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_by_any_name_is_refused_and_not_run(tmp_path, promise) -> None:
    from slangmod.data.shards import open_encodings
    from slangmod.model.folder import load_model
    from slangmod.runs.summary import read_summary
    from slangmod.training.checkpoint import problems_of

    ran = tmp_path / "ran"
    evil = pickle.dumps(Evil(ran))
    pickle.loads(evil)
    assert ran.exists()
    ran.unlink()
    folder = tmp_path / "folder"
    folder.mkdir()
    names = ("model.safetensors", "config.json", "manifest.json", "tokenizer.json")
    more = (
        "optimizer.safetensors",
        "state.json",
        "summary.toml",
        "a.jsonl",
        "a.parquet",
    )
    for name in (*names, *more, "token_bytes.bin"):
        (folder / name).write_bytes(evil)
    tries = [
        lambda: load_model(folder),
        lambda: open_encodings(folder),
        lambda: Codec.load(folder / "tokenizer.json"),
        lambda: read_summary(folder / "summary.toml"),
        lambda: parse_toml(evil, "a.toml"),
    ]
    for kind in (".jsonl", ".parquet"):
        file = RawFile(folder / f"a{kind}", f"a{kind}", kind, "")
        tries.append(lambda file=file: list(read_documents(file, "text", Oddities())))
    for attempt in tries:
        with pytest.raises((DataError, SettingsError)):
            attempt()
    assert problems_of(folder)
    assert not ran.exists()
    promise("R17", len(tries) + 1)


FORBIDDEN = {"pickle", "cPickle", "dill", "shelve", "marshal", "yaml", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("os", "system")}


def test_nothing_in_the_package_can_run_what_it_reads(promise) -> None:
    paths = sorted(PACKAGE.rglob("*.py"))
    for path in paths:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                assert FORBIDDEN.isdisjoint(one.name for one in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in FORBIDDEN, path
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in CALLS, path
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in ATTRIBUTES, path
    promise("R17", len(paths))


def safetensors(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


NOTHING = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
TENSORS = {
    "a header longer than the file": (1 << 62).to_bytes(8, "little") + b"{}",
    "an absurd shape": safetensors(
        {
            "embedding.weight": {
                "dtype": "F32",
                "shape": [1 << 40],
                "data_offsets": [0, 4],
            }
        },
        bytes(4),
    ),
    "offsets that overlap": safetensors(
        {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"},
        bytes(4),
    ),
    "many names": safetensors(b"{%s}" % b",".join(NOTHING % n for n in range(10**5))),
    "nested": safetensors(b'{"a":' * 10**5),
    "nothing": b"",
}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_that_do_not_fit_are_refused_before_memory_is_taken(
    talker_folder, kind, promise
) -> None:
    from slangmod.model.folder import load_model

    (talker_folder / "model.safetensors").write_bytes(TENSORS[kind])
    with pytest.raises(DataError, match=r"model\.safetensors"):
        load_model(talker_folder)
    promise("R17", 1)


@pytest.mark.slow
def test_tensors_that_do_not_fit_take_no_memory(talker_folder, promise) -> None:
    """Of a process that has done nothing else: a peak never becomes less."""
    for number, content in enumerate(TENSORS.values()):
        (talker_folder / f"{number}.tensors").write_bytes(content)
    said, _, grown = in_a_process(
        "slangmod.model.folder as m",
        "from pathlib import Path\nfrom slangmod.errors import DataError\n"
        f"folder = Path({str(talker_folder)!r})\n"
        "for path in folder.glob('*.tensors'):\n"
        "    path.replace(folder / m.WEIGHTS)\n"
        "    try:\n"
        "        m.load_model(folder)\n"
        "    except DataError as error:\n"
        "        print('refused')\n",
    )
    assert said.split() == ["refused"] * len(TENSORS)
    assert grown < 200 << 20
    promise("R17", len(TENSORS))


@pytest.fixture
def talker_folder(tmp_path, tiny) -> Path:
    """The folder of a small model."""
    from slangmod.model import build_model, save_model

    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(learnt("byte").to_json())
    save_model(tmp_path / "model", build_model(tiny(), 257), tokenizer.read_bytes())
    return tmp_path / "model"


def test_a_document_or_a_line_may_be_as_long_as_is_said(tmp_path) -> None:
    def read(name: str, content: bytes, most: int) -> int:
        path = tmp_path / name
        path.write_bytes(content)
        file = RawFile(path, name, path.suffix, "")
        return len(list(read_documents(file, "text", Oddities(), most)))

    line = b'{"text": "abc"}\n'
    assert read("a.txt", b"a" * 100, 100) == 1
    assert read("a.jsonl", line * 3, 8 * len(line)) == 3
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "a" * 100]}), sink)
    assert read("a.parquet", sink.getvalue(), 100) == 2
    for name, content, most, place in (
        ("a.txt", b"a" * 100, 99, "a.txt: "),
        (
            "a.jsonl",
            line * 2 + b'{"text": "abcd"}\n',
            8 * (len(line) - 1),
            "a.jsonl:3: ",
        ),
        ("a.parquet", sink.getvalue(), 99, "a.parquet: row 1: "),
    ):
        with pytest.raises(DataError, match=r"files\.max_doc_bytes") as caught:
            read(name, content, most)
        assert place in str(caught.value)


ABSURD = {
    "far": {"context": 10**9},
    "further": {"context": 10**18},
    "far by turns": {"context": 10**9, "positions": "rotary"},
    "far and learnt": {"context": 10**9, "positions": "learnable"},
    "deep": {"n_layers": 10**9},
    "less deep": {"n_layers": 60_000},
    "deep by a table": {"n_layers": 10**9, "layer": [{"repeat": 10**9}]},
    "wide": {"dim": 10**9},
    "wider": {"dim": 2 * 10**18},
    "many heads": {"n_heads": 10**9},
    "wide inside": {"feedforward": {"factor": 10**15}},
}


@pytest.mark.parametrize("kind", [*ABSURD, "many tokens"])
def test_a_model_that_is_described_as_absurd_is_refused_before_memory_is_taken(
    talker_folder, kind, promise
) -> None:
    from slangmod.model.folder import load_model

    path = talker_folder / "config.json"
    content = json.loads(path.read_text())
    content["model"] |= ABSURD.get(kind, {})
    content["vocab"] = 10**18 if kind == "many tokens" else content["vocab"]
    path.write_text(json.dumps(content))
    (talker_folder / ".slangmod.json").write_text("{}")  # says nothing of its content
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(DataError, match=r"config\.json") as caught:
        load_model(talker_folder)
    assert "\n" not in str(caught.value)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_maxrss - usage.ru_maxrss < 300_000
    assert after.ru_utime - usage.ru_utime < 20
    promise("R17", 1)
