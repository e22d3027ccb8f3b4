"""``slangmod verify``: whether runs and what they were made from are as written."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from slangmod.commands.call import Call
from slangmod.commands.choosing import named_runs, newest_run, say
from slangmod.commands.verifying import (
    Verdict,
    verdict_on_corpus,
    verdict_on_encodings,
    verdict_on_tokenizer,
)
from slangmod.commands.verifying_run import settings_in, verdict_on_run
from slangmod.errors import UserError
from slangmod.runs.directory import runs_of
from slangmod.settings.literals import printable
from slangmod.settings.sections import Settings


def run(call: Call) -> int:
    """Print a line for each thing that is sound, and each fault; 1 if there is any.

    Of the runs that are named, or the newest; then of the tokenizer, the corpus and the
    encodings that they name, each once. Without any run, of those of the settings.
    """
    verdicts = list(dict.fromkeys(verdicts_of(call)))
    if call.flags.get("json"):
        say(json.dumps([asdict(verdict) for verdict in verdicts], indent=2) + "\n")
    else:
        say("".join(f"{printable(line)}\n" for one in verdicts for line in one.lines()))
    return int(any(verdict.problems for verdict in verdicts))


def verdicts_of(call: Call) -> Iterator[Verdict]:
    """What is to be said of everything, one after the other."""
    runs = named_runs(call)
    if not runs and not runs_of(call.settings.workdir):
        yield from verdicts_on_inputs(call.settings)
        return
    workdir = call.settings.workdir
    for one in runs or (newest_run(workdir),):
        yield verdict_on_run(one, workdir)
        try:
            settings = settings_in(workdir, one)
        except UserError:
            continue  # the verdict on the run says why
        yield from verdicts_on_inputs(settings)


def verdicts_on_inputs(settings: Settings) -> Iterator[Verdict]:
    """What a run of these settings is made from."""
    yield verdict_on_corpus(settings)
    yield verdict_on_tokenizer(settings)
    yield verdict_on_encodings(settings)
