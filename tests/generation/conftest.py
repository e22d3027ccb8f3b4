"""A tiny model, and a codec of bytes that is plain to see through."""

import codecs
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from slangmod.model import Transformer, build_model

END = 256


class Bytes:
    """Ids are bytes; 256 is the end symbol, which decodes to two newlines."""

    vocab_size = 257
    end = END

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        stream = self.stream_decoder()
        return "".join([*map(stream.push, ids), stream.finish()])

    def stream_decoder(self) -> Any:
        return Stream()


class Stream:
    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        if token == END:
            return self.finish() + "\n\n"
        return self.decoder.decode(bytes([token]))

    def finish(self) -> str:
        return self.decoder.decode(b"", final=True)


@pytest.fixture
def codec() -> Bytes:
    return Bytes()


@pytest.fixture
def lively(tiny: Any) -> Callable[..., Transformer]:
    """A model whose logits differ enough to tell tokens apart."""

    def make(vocab: int = 11, seed: int = 0, **shape: Any) -> Transformer:
        torch.manual_seed(seed)
        model = build_model(tiny(model=shape), vocab).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight *= 4
        return model

    return make
