"""Text that the model writes while it learns, as ``[samples]`` asks for.

What is learnt does not depend on it: chance comes from a generator of its own, no
gradient is touched, and the model is back in training mode when the step ends.
"""

import logging

from slangmod.commands.session import Session
from slangmod.data.order import mix
from slangmod.errors import DataError
from slangmod.generation.generate import seeded_generator
from slangmod.generation.terminal import printable
from slangmod.model.transformer import Transformer
from slangmod.runs.samples import Sample, SamplesFile
from slangmod.settings.paths import tokenizer_path
from slangmod.text.tokenizer import Codec
from slangmod.training.events import Callback, Event, Progress
from slangmod.training.limits import passed

LOG = logging.getLogger(__name__)

CHANCE_OF_SAMPLES = 5
"""Tells the seeds of samples from those that are stirred for other purposes."""


def samplers(
    session: Session, tokenizer: bytes, file: SamplesFile | None
) -> tuple[Callback, ...]:
    """The writer of samples, where they are wanted.

    ``tokenizer``: the content of its file as the run began. With no ``file`` they are
    computed all the same, for others, who have other rows of the model, and write them.
    """
    every = session.settings.samples.every
    return () if every is None else (Sampler(session, tokenizer, file, every),)


class Sampler:
    """A callback that lets the model continue each prompt every so often.

    It does after the step in which ``every`` mini-batches have passed, which is a
    function of the mini-batches done, so that a resumed run writes the same.
    """

    def __init__(
        self, session: Session, tokenizer: bytes, file: SamplesFile | None, every: int
    ) -> None:
        settings = session.settings
        self._state, self._seed = session.state, settings.seed
        self._file, self._every = file, every
        self._prompts = settings.samples.prompts
        longest = {"max_tokens": settings.samples.max_tokens}
        self._chat = settings.chat.model_copy(update=longest)
        path, eos_string = tokenizer_path(settings), settings.tokens.eos_string
        self._codec = Codec.from_content(tokenizer, path, eos_string)
        self._batch = session.state.counters.batch

    def __call__(self, event: Event) -> None:
        """Write samples if a multiple of ``every`` has been passed."""
        if not isinstance(event, Progress):
            return
        before, self._batch = self._batch, event.batch
        if not passed(self._every, before, event.batch):
            return
        model = self._state.model
        assert isinstance(model, Transformer)  # new_state has built it
        was_training = model.training
        try:
            for number, prompt in enumerate(self._prompts):
                self._write(model, number, prompt)
        # Of memory, or of the tokenizer: no reason to stop training.
        except (RuntimeError, DataError) as error:
            if model.shards is not None:  # others would wait for this process
                raise
            LOG.warning("no sample this time: %s", error)
        finally:
            model.train(was_training)
            if model.shards is not None:
                model.shards.gather_again()

    def _write(self, model: Transformer, number: int, prompt: str) -> None:
        counters = self._state.counters
        seed = mix(self._seed, CHANCE_OF_SAMPLES, counters.step, number) >> 1
        generate = seeded_generator(self._chat, seed, model, self._codec.end)
        ids = list(generate(self._codec.encode(prompt)))
        text = self._codec.decode(ids)
        if self._file is None:
            return
        self._file.add(Sample(counters.step, counters.tokens, prompt, text))
        shown = printable(f"{prompt}{text}")
        LOG.info("sample at step %d: %s", counters.step, shown)
