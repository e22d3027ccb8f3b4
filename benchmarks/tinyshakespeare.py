"""Trains benchmarks/tinyshakespeare.toml by the command line and keeps the result.

    python benchmarks/tinyshakespeare.py path/to/tinyshakespeare.txt

The last 111 540 characters are predicted once each, in windows of 64, by the model
that was trained on all the others. nanoGPT's own CPU setting, run and evaluated the
same way, reaches 1.917 nats per character.
"""

import json
import subprocess
import sys
from pathlib import Path

import tomli

HELD_OUT = 111_540
HERE = Path(__file__).parent
CONFIG = HERE / "tinyshakespeare.toml"
WORK = HERE / "work" / "tinyshakespeare"
RESULT = HERE / "results" / "tinyshakespeare.json"


def main(source: Path) -> None:
    text = source.read_text("utf-8")
    raw = WORK / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, part in (
        ("train", text[:-HELD_OUT]),
        ("test", text[-HELD_OUT:]),
        ("validation", text[-HELD_OUT:]),
    ):
        (raw / f"{name}.txt").write_text(part, "utf-8")
    actions = ["clean", "tokenize", "encode", "train", "--overwrite"]
    command = ["slangmod", *actions, "--toml", str(CONFIG.relative_to(HERE.parent))]
    subprocess.run([sys.executable, "-m", *command], check=True, cwd=HERE.parent)
    summary = tomli.loads((WORK / "runs" / "bytes" / "summary.toml").read_text("utf-8"))
    result = {
        "command": "python benchmarks/tinyshakespeare.py tinyshakespeare.txt",
        "held_out_characters": HELD_OUT,
        "nanogpt_nats_per_character": 1.917,
        **summary,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result["validation"], indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
