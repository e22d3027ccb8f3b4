"""What the end of a run needs of its inputs, taken as the run begins.

Training takes days, in which corpus, tokenizer and encodings may be made anew.
"""

from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

from slangmod.data.dataset import TokenDataset, dataset_of
from slangmod.data.shards import Encodings
from slangmod.errors import DataError
from slangmod.parallel.team import Team
from slangmod.reading import open_regular
from slangmod.settings.paths import tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.text.provenance import LARGEST


@dataclass(frozen=True)
class Provisions:
    """What the best model is validated on, and the tokenizer that is kept with it."""

    validation: TokenDataset
    """the part of this process; its files stay open, whatever takes their names"""
    token_bytes: Tensor
    """[vocab] int64: bytes of text that each id stands for"""
    tokenizer: bytes
    """the content of its file"""


def provisions_of(encodings: Encodings, settings: Settings, team: Team) -> Provisions:
    """Of the same encodings that training has open.

    Raises DataError if others have taken their place since they were checked, or if
    there is nothing to validate on.
    """
    rows = dataset_of(encodings, settings, "validation", training=False)
    token_bytes = torch.from_numpy(encodings.token_bytes())
    path = tokenizer_path(settings)
    with open_regular(path) as stream:
        tokenizer = stream.read(LARGEST)  # of a longer one the hash differs
    encodings.refuse_replaced()
    known, found = encodings.manifest.tokenizer_sha256, sha256(tokenizer).hexdigest()
    if found != known:
        raise DataError(
            f"{path}: is not the tokenizer of {encodings.folder} ({found:.16}, not "
            f"{known:.16}); it was made anew a moment ago: run `slangmod encode`, then "
            "begin again"
        )
    return Provisions(rows.part_of(team.rank, team.size), token_bytes, tokenizer)
