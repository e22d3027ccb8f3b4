"""Compares how fast text is cleaned and encoded, by one process and by several.

    python benchmarks/sharing.py

FILES files of program text of the running Python, SIZE characters each, are cleaned
and encoded in turns, ROUNDS times: by one process of one thread, by one with two, and
by two that srun would have started, of one thread each. The figures are wall seconds of
the commands, loading Python included; what they make must be the same, byte for byte.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from itertools import cycle
from pathlib import Path

from slangmod.files import remove_folder
from slangmod.runs.environment import environment

RESULT = Path(__file__).parent / "results" / "sharing.json"
ROUNDS = 3
FILES = 8
SIZE = 12_000_000
CONFIG = """
progress = false
workdir = "{workdir}"
[files]
raw = "raw"
cleaners = ["quotes", "unicode"]
[tokens]
algo = "bpe"
vocab = 2048
"""
PROGRAM = (
    "from slangmod.commands import raw_parts; raw_parts.PART_BYTES = 8_000_000; "
    "import sys; from slangmod.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""The command line, with parts so small that each file is one."""
WAYS = {"one process": (1, 1), "two threads": (2, 1), "two processes": (1, 2)}
"""Threads of a process, and processes."""


def write_raw(folder: Path) -> None:
    """Files of text, all different."""
    folder.mkdir()
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    texts = [path.read_text("utf-8", "replace") for path in sources]
    turns = cycle(texts)
    for number in range(FILES):
        documents, size = [], 0
        for text in turns:
            documents.append(json.dumps({"text": f"# {number}\n{text}"}))
            size += len(text)
            if size >= SIZE:
                break
        (folder / f"{number}.jsonl").write_text("\n".join(documents))


def taken(action: str, name: str) -> float:
    """Wall seconds of an action in one of the WAYS."""
    threads, size = WAYS[name]
    command = [sys.executable, "-c", PROGRAM, action, "--toml", f"{name}.toml"]
    begin = time.perf_counter()
    processes = []
    for rank in range(size):
        place = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": str(size)}
        place = {**place, "SLURM_PROCID": str(rank)} if size > 1 else {}
        known = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        words = [*command, "--threads", str(threads)]
        processes.append(
            subprocess.Popen(words, env={**known, **place}, stderr=subprocess.DEVNULL)
        )
    assert [process.wait() for process in processes] == [0] * size, name
    return time.perf_counter() - begin


def digest(folder: Path) -> str:
    """Of all files below ``folder``."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def main() -> None:
    found: dict[str, dict[str, list[float]]] = {
        action: {name: [] for name in WAYS} for action in ("clean", "encode")
    }
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        write_raw(Path("raw"))
        for name in WAYS:
            Path(f"{name}.toml").write_text(CONFIG.format(workdir=name))
        for turn in range(ROUNDS):
            for name in WAYS:
                for made in [*Path(name).glob("corpus"), *Path(name).glob("enc*")]:
                    remove_folder(made)
                found["clean"][name].append(taken("clean", name))
                if not turn:
                    taken("tokenize", name)
                found["encode"][name].append(taken("encode", name))
            assert len({digest(Path(name)) for name in WAYS}) == 1, "files differ"
        megabytes = sum(path.stat().st_size for path in Path("raw").iterdir()) / 1e6
    seconds = {
        action: {
            name: {"median": statistics.median(each), "best": min(each), "all": each}
            for name, each in ways.items()
        }
        for action, ways in found.items()
    }
    result = {
        "command": "python benchmarks/sharing.py",
        "environment": environment("cpu", 1),
        "megabytes": megabytes,
        "files": FILES,
        "wall_seconds": seconds,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for action, ways in seconds.items():
        alone = ways["one process"]["median"]
        for name in ("two threads", "two processes"):
            ratio = alone / ways[name]["median"]
            print(f"{action}: {name} are {ratio:.2f} times as fast as one process")


if __name__ == "__main__":
    main()
