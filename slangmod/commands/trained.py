"""A trained run in Python: its folder, its figures, its model, and its text."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slangmod.commands.evaluate import evaluate_run
from slangmod.errors import UserError
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import read_summary
from slangmod.settings import Settings, load_settings
from slangmod.settings.plugins import refuse_unasked

if TYPE_CHECKING:
    from slangmod.model.transformer import Transformer
    from slangmod.text.tokenizer import Codec
    from slangmod.training.evaluate import Score


class Run:
    """A trained run: its folder, its figures, its model, and text in and out."""

    def __init__(self, folder: str | Path, allow: Iterable[str] = ()) -> None:
        self._run = RunDir(Path(folder))
        self._allow = tuple(allow)
        if not self._run.exists():
            raise UserError(f"{folder}: is no run of slangmod (it has no config.toml)")

    def __repr__(self) -> str:
        """How to open it again."""
        return f"slangmod.open_run({str(self.folder)!r})"

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return self._run.root

    @cached_property
    def settings(self) -> Settings:
        """The resolved settings that the run was trained with.

        Raises SettingsError if they name classes that it was not opened to import.
        """
        settings = load_settings(self._run.config)
        refuse_unasked(str(self._run.config), settings, self._allow)
        return settings.replace(**{"plugins.allow": self._allow})

    @property
    def summary(self) -> dict[str, Any]:
        """summary.toml: outcome, validation, environment, cost; empty while it runs."""
        return read_summary(self._run.summary)

    @cached_property
    def model(self) -> "Transformer":
        """The best model, in evaluation mode on the CPU.

        ids [batch, seq] int64 -> logits [batch, seq, vocab] float32.
        """
        from slangmod.model.folder import load_model

        return load_model(self._run.model, self.settings.plugins.allow)

    @cached_property
    def codec(self) -> "Codec":
        """The tokenizer that the model was trained with.

        Raises DataError if another lies there.
        """
        from slangmod.commands.own_codec import codec_of
        from slangmod.model.folder import CONFIG, read_config

        folder, settings = self._run.model, self.settings
        about = read_config(folder / CONFIG, settings.plugins.allow)
        return codec_of(folder, about.vocab, settings.tokens.eos_string)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without an end symbol."""
        return self.codec.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; the end symbol becomes ``tokens.eos_string``."""
        return self.codec.decode(ids)

    def evaluate(self, split: str = "validation") -> "Score":
        """Figures of ``train``, ``test`` or ``validation``, as ``evaluate`` prints."""
        return evaluate_run(self._run, self.settings, split)

    def generate(self, prompt: str = "", **chat: Any) -> str:
        """``prompt`` and what the model writes after it, as ``slangmod generate``.

        ``run.generate("Once", generator="top_p", max_tokens=50)``: names and values
        of ``[chat]``. Equal settings give equal text.
        """
        from slangmod.generation import build_generator, stream_text

        changes = {f"chat.{name}": value for name, value in chat.items()}
        settings = self.settings.replace(**changes) if changes else self.settings
        generate = build_generator(settings, self.model, self.codec.end)
        ids = generate(self.encode(prompt))
        return prompt + "".join(stream_text(ids, self.codec, settings.chat.stop))
