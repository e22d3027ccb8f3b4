"""Compares how fast a tokenizer is learnt here and by the tokenizers library.

    python benchmarks/tokenizer.py

A bpe tokenizer of 8192 tokens is learnt from the same pieces of text, which are split
into words by the same expression, in turns, each in a process of its own, with one
thread and with two. Wall seconds, processor seconds and the peak of memory above that
of the text are kept; the merges must be identical. The library also learns with its own
ByteLevel splitting, as its documentation does it, for the sake of its speed alone.
"""

import ast
import hashlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "tokenizer.json"
ROUNDS = 5
VOCAB = 8192
PIECE = 1 << 16
SIZE = 8_500_000
GOAL = 1.0
ENGINES = ("slangmod", "tokenizers", "tokenizers, its own splitting")
THREADS = ("1", "2")


def texts() -> dict[str, str]:
    """Program text, and prose out of it, of the running Python, by name."""
    folders = sysconfig.get_paths()
    library, packages = Path(folders["stdlib"]), Path(folders["purelib"])
    own = [p for p in sorted(library.rglob("*.py")) if "site-packages" not in p.parts]
    return {
        "sources of Python": joined(p.read_text("utf-8", "replace") for p in own),
        "docstrings of packages": joined(
            text
            for path in [*own, *sorted(packages.rglob("*.py"))]
            for text in docstrings(path)
        ),
    }


def joined(parts: Iterator[str]) -> str:
    """So many of ``parts`` that there are SIZE characters."""
    taken, size = [], 0
    for part in parts:
        taken.append(part)
        size += len(part)
        if size >= SIZE:
            break
    return "\n".join(taken)


def docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, documented) else None
        if text and len(text) > 80:
            yield text


def learn_here(pieces: list[str]) -> list[list[str]]:
    from slangmod.settings.sections import Settings
    from slangmod.text.learning import train_codec

    settings = Settings().replace(**{"tokens.vocab": VOCAB})
    learnt: list[list[str]] = json.loads(train_codec(settings, pieces).to_json())[
        "model"
    ]["merges"]
    return learnt


def learn_there(pieces: list[str], *, own_splitting: bool) -> list[list[str]]:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    from slangmod.text.segments import PATTERN, splitting

    tokenizer = Tokenizer(BPE())
    ours = splitting(PATTERN)
    tokenizer.pre_tokenizer = (
        ByteLevel(add_prefix_space=False) if own_splitting else ours
    )
    trainer = BpeTrainer(
        vocab_size=VOCAB - 1,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces, trainer)
    learnt: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return learnt


def learn_once(engine: str, path: Path) -> None:
    """One turn of one engine; -> a line with its figures."""
    import numpy  # noqa: F401  (what both load is not counted)
    import tokenizers  # noqa: F401

    from slangmod.text import learning  # noqa: F401

    text = path.read_text("utf-8")
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    before = peak()
    begin, busy = time.perf_counter(), time.process_time()
    if engine == "slangmod":
        merges = learn_here(pieces)
    else:
        merges = learn_there(pieces, own_splitting=engine != "tokenizers")
    figures = {
        "wall": time.perf_counter() - begin,
        "cpu": time.process_time() - busy,
        "megabytes": (peak() - before) / 1e6,
        "merges": len(merges),
        "sha256": hashlib.sha256(json.dumps(merges).encode()).hexdigest(),
    }
    print(json.dumps(figures))


def peak() -> int:
    """Bytes that this program has had in memory at most; not those of its parent."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM:"))


def turn(engine: str, threads: str, path: Path) -> dict[str, Any]:
    words = [sys.executable, __file__, engine, str(path)]
    surroundings = os.environ | {"RAYON_NUM_THREADS": threads}
    done = subprocess.run(
        words, env=surroundings, stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def compared(path: Path) -> dict[str, Any]:
    """All engines with one text, in turns."""
    result: dict[str, Any] = {"megabytes": path.stat().st_size / 1e6}
    for threads in THREADS:
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
        for _ in range(ROUNDS):
            for name in ENGINES:
                turns[name].append(turn(name, threads, path))
        ours, theirs = (turns[name][0] for name in ENGINES[:2])
        assert ours["sha256"] == theirs["sha256"], "merges differ"
        assert len({one["sha256"] for one in turns["slangmod"]}) == 1
        result["merges"] = ours["merges"]
        result[f"{threads} threads"] = {
            kind: ratios({n: [one[kind] for one in each] for n, each in turns.items()})
            for kind in ("wall", "cpu", "megabytes")
        }
    return result


def ratios(figures: dict[str, list[float]]) -> dict[str, Any]:
    middle = {name: statistics.median(each) for name, each in figures.items()}
    best = {name: min(each) for name, each in figures.items()}
    ours = "slangmod"
    return {
        "median": middle,
        "ratio": {name: one / middle[ours] for name, one in middle.items()},
        "ratio_of_best": {name: one / best[ours] for name, one in best.items()},
        "each": figures,
    }


def main() -> None:
    from slangmod.runs.environment import environment

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts().items():
            path = Path(folder) / "text"
            path.write_text(text, "utf-8")
            results[name] = compared(path)
            for threads in THREADS:
                wall = results[name][f"{threads} threads"]["wall"]["ratio"]
                print(f"{name}, {threads} threads: the library takes {wall} times")
    result = {
        "command": "python benchmarks/tokenizer.py",
        "environment": environment("cpu", 2),
        "goal": GOAL,
        "texts": results,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        learn_once(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
