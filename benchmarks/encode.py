"""Compares how fast text becomes ids here and in the tokenizers library.

    python benchmarks/encode.py

A bpe tokenizer of 8192 tokens is learnt from each text and encodes it, on one core, in
turns with the library's ``encode_batch_fast``, ROUNDS times. The figures are medians of
CPU seconds, which other work on the machine disturbs less than wall time; ids must be
identical. Each turn begins with a tokenizer that has seen nothing.

How encoding scales is measured by wall time, with one process and with two, in turns,
on a text so long that starting processes does not matter.
"""

import ast
import json
import os
import pydoc_data.topics
import statistics
import sysconfig
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer

from slangmod.runs.environment import environment
from slangmod.settings.sections import Settings
from slangmod.text.learning import train_codec
from slangmod.text.together import Encoders
from slangmod.text.tokenizer import Codec

RESULT = Path(__file__).parent / "results" / "encode.json"
ROUNDS = 7
PIECE = 1 << 16
GOAL = 3.0
LONG = 96_000_000
"""Characters of the text that processes share."""
BATCH = 1 << 17
"""Characters that go to a process at a time, as ``slangmod encode`` sends them."""


def sources() -> Iterator[str]:
    """Program text of the running Python, and of what is installed there."""
    folders = sysconfig.get_paths()
    for folder in (folders["stdlib"], folders["purelib"]):
        for path in sorted(Path(folder).rglob("*.py")):
            if "site-packages" in path.parts and folder == folders["stdlib"]:
                continue
            yield path.read_text("utf-8", "replace")


def first(size: int, texts: Iterable[str]) -> str:
    """So many characters of ``texts``."""
    parts: list[str] = []
    held = 0
    for text in texts:
        parts.append(text)
        held += len(text)
        if held >= size:
            break
    return "\n".join(parts)[:size]


def docstrings() -> Iterator[str]:
    """What modules, classes and functions of ``sources`` say of themselves."""
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    for source in sources():
        with suppress(SyntaxError, ValueError):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, kinds) and (said := ast.get_docstring(node)):
                    yield said


def texts() -> dict[str, str]:
    """Prose and program text of the running Python, by name."""
    found = {
        "manual of Python": "\n".join(pydoc_data.topics.topics.values()),
        "docstrings": first(4_000_000, docstrings()),
        "sources of Python": first(4_000_000, sources()),
    }
    shakespeare = Path(__file__).parents[2] / "shared" / "data" / "tinyshakespeare.txt"
    if shakespeare.is_file():
        found["tinyshakespeare"] = shakespeare.read_text("utf-8")
    return found


def scaling() -> dict[str, object]:
    """Wall seconds of encoding a long text with one process and with two."""
    text = first(LONG, sources())
    settings = Settings().replace(**{"tokens.vocab": 8192})
    learnt = train_codec(settings, [text[: LONG // 4]]).to_json()
    batches = [
        [text[at : at + PIECE], text[at + PIECE : at + BATCH]]
        for at in range(0, len(text), BATCH)
    ]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for processes in seconds:
            begin = time.perf_counter()
            codec = Codec.from_json(learnt)
            with Encoders(codec, processes) as encoders:
                for _ids in encoders.ids(batches):
                    pass
            seconds[processes].append(time.perf_counter() - begin)
    middle = {n: statistics.median(each) for n, each in seconds.items()}
    best = {n: min(each) for n, each in seconds.items()}
    return {
        "megabytes": len(text.encode("utf-8", "replace")) / 1e6,
        "ratio_of_two_processes": middle[1] / middle[2],
        "ratio_of_best": best[1] / best[2],
        "wall_seconds": seconds,
    }


def taken(work: Callable[[], list[list[int]]]) -> tuple[float, list[list[int]]]:
    """CPU seconds of ``work``, and what it returns."""
    begin = time.process_time()
    ids = work()
    return time.process_time() - begin, ids


def ours(codec: Codec, pieces: Sequence[str]) -> list[list[int]]:
    """As ``slangmod encode`` does it, two pieces at a time."""
    pairs = (pieces[at : at + 2] for at in range(0, len(pieces), 2))
    return [ids for pair in pairs for ids in codec.encode_batch(pair)]


def theirs(library: Tokenizer, pieces: Sequence[str]) -> list[list[int]]:
    """In the fastest way that the library has."""
    encodings = library.encode_batch_fast(list(pieces), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def compared(text: str) -> dict[str, object]:
    """Both ways with one text, in turns."""
    learnt = train_codec(Settings().replace(**{"tokens.vocab": 8192}), [text]).to_json()
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    seconds: dict[str, list[float]] = {"slangmod": [], "tokenizers": []}
    for _ in range(ROUNDS):
        codec, library = Codec.from_json(learnt), Tokenizer.from_str(learnt)
        library.encode_special_tokens = True
        one, found = taken(partial(ours, codec, pieces))
        other, wanted = taken(partial(theirs, library, pieces))
        assert [list(ids) for ids in found] == wanted, "ids differ"
        seconds["slangmod"].append(one)
        seconds["tokenizers"].append(other)
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    megabytes = len(text.encode("utf-8")) / 1e6
    return {
        "megabytes": megabytes,
        "megabytes_per_second": {n: megabytes / s for n, s in middle.items()},
        "ratio": middle["tokenizers"] / middle["slangmod"],
        "seconds": seconds,
    }


def main() -> None:
    result = {
        "command": "python benchmarks/encode.py",
        "environment": environment("cpu", 1),
        "goal": GOAL,
        "texts": {name: compared(text) for name, text in texts().items()},
        "scaling": scaling(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for name, figures in result["texts"].items():
        print(f"{figures['ratio']:.2f} times as fast as the library: {name}")
    ratio = result["scaling"]["ratio_of_two_processes"]
    print(f"two processes are {ratio:.2f} times as fast as one")


if __name__ == "__main__":
    main()
