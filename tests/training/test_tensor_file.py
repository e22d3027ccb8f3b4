import hashlib

import pytest
import torch
from safetensors.torch import load, save_file

from slangmod.training.tensor_file import PIECE, TYPES, pieces, written


def of_type(kind: torch.dtype) -> torch.Tensor:
    return torch.arange(6).reshape(2, 3).to(kind)


ODD = {
    "none": {},
    "no elements": {"a": torch.zeros(0, 3), "b": torch.ones(2)},
    "no dimensions": {"a": torch.tensor(3.0)},
    "names": {'q"uo\\te\n': torch.ones(1), "é": torch.zeros(1), "Z": torch.ones(3)},
    "a view": {"a": torch.arange(12.0).reshape(3, 4).T},
    "one piece and a bit": {"a": torch.ones(PIECE // 4 + 1)},
    "all types": {kind: of_type(getattr(torch, kind)) for kind in ("bool", "int64")}
    | {str(kind): of_type(kind) for kind in TYPES},
}


@pytest.mark.parametrize("case", ODD)
def test_the_bytes_are_those_of_the_library(tmp_path, case) -> None:
    tensors = ODD[case]
    save_file({n: t.contiguous() for n, t in tensors.items()}, tmp_path / "theirs",
              {"format": "pt"})  # fmt: skip
    ours = bytearray()
    known = written(pieces(tensors), ours.extend)
    assert ours == (tmp_path / "theirs").read_bytes()
    assert known.size == len(ours)
    assert known.sha256 == hashlib.sha256(ours).hexdigest()
    assert load(bytes(ours)).keys() == tensors.keys()


def test_a_type_that_the_format_lacks_is_named() -> None:
    tensors = {"weight": torch.zeros(1, dtype=torch.complex128)}
    with pytest.raises(ValueError, match=r"weight: torch\.complex128"):
        list(pieces(tensors))
