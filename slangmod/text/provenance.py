"""What a tokenizer file was made from, kept beside it; and what others have made."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slangmod.errors import DataError
from slangmod.files import sha256_of, write_json, write_text

TRIAL = """
import sys
from tokenizers import Tokenizer
try:
    Tokenizer.from_file(sys.argv[1]).encode("Aa 1", add_special_tokens=False)
except Exception as error:
    print(error)
    sys.exit(1)
"""
TRIAL_SECONDS = 120


def record_path(tokenizer: Path) -> Path:
    """Beside tokenizer-1234.json lies .tokenizer-1234.json.made, out of sight."""
    return tokenizer.with_name(f".{tokenizer.name}.made")


def is_ours(tokenizer: Path) -> bool:
    """Whether slangmod has made the file, and nobody has changed it since."""
    return sha256_of(tokenizer) in _read(tokenizer).get("sha256", [])


def made_from(tokenizer: Path) -> Any:
    """What the file was made from, or None if that is not known."""
    record = _read(tokenizer)
    known = tokenizer.is_file() and record.get("sha256", [])[-1:] == [
        sha256_of(tokenizer)
    ]
    return record.get("inputs") if known else None


def write_tokenizer(tokenizer: Path, content: str, inputs: Mapping[str, Any]) -> None:
    """Write the file and what it was made from.

    The record first admits both the old file and the new, so that whenever the
    process dies, the file that is there is known as ours.
    """
    record = record_path(tokenizer)
    digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
    tokenizer.parent.mkdir(parents=True, exist_ok=True)
    old = [sha256_of(tokenizer)] if tokenizer.is_file() else []
    write_json(record, {"sha256": [*old, digest], "inputs": inputs})
    write_text(tokenizer, content)
    write_json(record, {"sha256": [digest], "inputs": inputs})


def try_out(tokenizer: Path) -> None:
    """Raise DataError unless a process of its own can load and use the file."""
    command = [sys.executable, "-c", TRIAL, str(tokenizer)]
    try:
        trial = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it does not load within {TRIAL_SECONDS} seconds"
    else:
        if trial.returncode == 0:
            return
        reason = " ".join(trial.stdout.decode("utf-8", "replace").split())
    reason = reason or "the tokenizers library breaks down on it"
    raise DataError(f"{tokenizer}: not a sound tokenizer file: {reason}")


def _read(tokenizer: Path) -> dict[str, Any]:
    try:
        content = json.loads(record_path(tokenizer).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
