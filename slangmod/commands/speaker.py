"""What ``generate`` and ``chat`` share: a run that is ready to write."""

import logging
from typing import NamedTuple

import torch

from slangmod.commands.call import Call
from slangmod.commands.existing import open_existing
from slangmod.commands.own_codec import codec_of
from slangmod.errors import SettingsError
from slangmod.generation.generate import Generate, build_generator
from slangmod.generation.reader import lay_out_for_reading
from slangmod.model.folder import load_model
from slangmod.runs.directory import RunDir
from slangmod.settings.sections import Settings
from slangmod.text.tokenizer import Codec
from slangmod.training.device import choose_device

LOG = logging.getLogger(__name__)


class Speaker(NamedTuple):
    """The best model of a run, with its tokenizer, set up as [chat] says."""

    run: RunDir
    settings: Settings
    codec: Codec
    generate: Generate


def open_speaker(call: Call) -> Speaker:
    """Load model and tokenizer of the run that was asked for, or else the newest.

    It computes in float32, on the run's device or, if that is not here, on the CPU.
    Raises UserError if there is no such run, DataError if its model is not sound.
    """
    run, settings = open_existing(call)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    model = lay_out_for_reading(load_model(run.model, settings.plugins.allow))
    model.to(device_here(settings.data.device))
    vocab, eos_string = model.config["vocab"], settings.tokens.eos_string
    codec = codec_of(run.model, vocab, eos_string)
    return Speaker(run, settings, codec, build_generator(settings, model, codec.end))


def device_here(wanted: str | None) -> torch.device:
    """The device the run was trained on, or the CPU where that is missing."""
    try:
        return choose_device(wanted)
    except SettingsError:
        LOG.warning("there is no device '%s' here; using the CPU", wanted)
        return torch.device("cpu")
