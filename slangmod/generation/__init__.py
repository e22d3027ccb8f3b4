"""Text out of a model: sampling, beams, conversation."""

from slangmod.generation.generate import GENERATORS, build_generator, stream_text

__all__ = ["GENERATORS", "build_generator", "stream_text"]
