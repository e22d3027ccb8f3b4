"""What a tokenizer file was made from, kept beside it; and what others have made."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from slangmod.errors import DataError
from slangmod.files import sha256_of, write_json, write_text
from slangmod.reading import read_json, refuse_irregular
from slangmod.syncing import make_folder
from slangmod.text.breakdown import LONGEST_REASON

TRIAL = """
import resource, sys
memory, seconds, spare = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
try:
    tokenizer = Tokenizer.from_str(sys.stdin.buffer.read().decode("utf-8"))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.post_processor = None
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    size = 1 + max(vocab.values(), default=-1)
    if size > 2 * len(vocab) + spare:
        raise ValueError(f"has {len(vocab)} tokens, but ids up to {size}")
    tokenizer.to_str()
    letters = sorted(set("".join(sorted(vocab)[:9999])) | set("Aa 1."))
    letters = letters[:: 1 + len(letters) // 250]
    runs = "".join(letter * 40 for letter in letters)
    odd = "\\u00e9\\U0001f600 <|endoftext|> \\0" * 9
    for text in ("Aa 1", "", " \\n", odd, "".join(letters), runs, runs[::-1]):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if ids and max(ids) >= size:
            raise ValueError(f"gives the id {max(ids)}, of {size} tokens")
        tokenizer.decode(ids)
        stream = DecodeStream(skip_special_tokens=True)
        [stream.step(tokenizer, token) for token in ids[:500]]
except Exception as error:
    print(error)
    sys.exit(1)
"""
"""What a process of its own does with a tokenizer file on its standard input."""

TRIAL_SECONDS = 20
"""Of computing; of waiting, six times as much."""
TRIAL_MEMORY = 1 << 30
"""Bytes: four times what a vocabulary of 250 000 pieces takes."""
SPARE_IDS = 1 << 10
"""How many ids beyond twice its tokens a tokenizer may have."""
LARGEST = 1 << 26
"""Bytes of a file, five times as many as such a vocabulary takes."""


def record_path(tokenizer: Path) -> Path:
    """Beside tokenizer-1234.json lies .tokenizer-1234.json.made, out of sight."""
    return tokenizer.with_name(f".{tokenizer.name}.made")


def is_ours(tokenizer: Path) -> bool:
    """Whether slangmod has made the file, and nobody has changed it since.

    Raises DataError if it is no file, as a pipe.
    """
    refuse_irregular(tokenizer)
    return sha256_of(tokenizer) in _known(tokenizer)


def made_from(tokenizer: Path) -> Any:
    """What the file was made from, or None if that is not known."""
    digests = _known(tokenizer)
    known = tokenizer.is_file() and digests[-1:] == [sha256_of(tokenizer)]
    return _read(tokenizer).get("inputs") if known else None


def write_tokenizer(tokenizer: Path, content: str, inputs: Mapping[str, Any]) -> None:
    """Write the file and what it was made from.

    The record first admits both the old file and the new, so that whenever the
    process dies, the file that is there is known as ours.
    """
    record = record_path(tokenizer)
    digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
    make_folder(tokenizer.parent)
    old = [sha256_of(tokenizer)] if tokenizer.is_file() else []
    write_json(record, {"sha256": [*old, digest], "inputs": inputs})
    write_text(tokenizer, content)
    write_json(record, {"sha256": [digest], "inputs": inputs})


@lru_cache(maxsize=4)
def try_out(content: str) -> None:
    """Raise DataError unless a process of its own can load and use ``content``.

    The library panics on some broken files, and ends its process on others. Whoever
    made it: what says so beside a file may be as foreign as the file.
    """
    limits = map(str, (TRIAL_MEMORY, TRIAL_SECONDS, SPARE_IDS))
    try:
        trial = subprocess.run(
            [sys.executable, "-P", "-c", TRIAL, *limits],
            input=content.encode("utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=6 * TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it does not load within {6 * TRIAL_SECONDS} seconds"
    else:
        if trial.returncode == 0:
            return
        reason = " ".join(trial.stdout.decode("utf-8", "replace").split())
    reason = reason[:LONGEST_REASON] or "the tokenizers library breaks down on it"
    raise DataError(f"not a sound tokenizer file: {reason}")


def _known(tokenizer: Path) -> list[Any]:
    digests = _read(tokenizer).get("sha256")
    return digests if isinstance(digests, list) else []


def _read(tokenizer: Path) -> dict[str, Any]:
    try:
        content = read_json(record_path(tokenizer))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
