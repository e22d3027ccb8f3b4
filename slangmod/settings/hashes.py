"""Short names for settings: equal settings have equal hashes, on every machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from slangmod.settings.sections import Settings


def section_hash(content: Mapping[str, Any]) -> str:
    """First 8 hexadecimal digits of the sha256 of ``content`` as canonical JSON.

    Canonical: keys sorted, no blanks, UTF-8, unset values as null.

    >>> section_hash({"b": None, "a": 1}) == section_hash({"a": 1, "b": None})
    True
    """
    canonical = json.dumps(
        content,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:8]


def tokens_hash(settings: Settings) -> str:
    """The hash of the settings in [tokens], by which a tokenizer file is named."""
    return section_hash(settings.tokens.model_dump())
