"""``slangmod evaluate``: how good the best model of a run is on one of its splits."""

import logging
import sys
from dataclasses import asdict

import tomli_w
import torch

from slangmod.commands.call import Call
from slangmod.commands.existing import open_existing
from slangmod.commands.joining import joined, refuse_other_data, refuse_other_runs
from slangmod.data.dataset import dataset_of
from slangmod.data.shards import check_fresh
from slangmod.errors import DataError
from slangmod.files import sha256_of
from slangmod.model.folder import TOKENIZER, load_model
from slangmod.parallel.team import ALONE, Team
from slangmod.runs.directory import RunDir
from slangmod.settings.sections import Settings
from slangmod.text.tokenizer import Codec
from slangmod.training.device import choose_device, reproducible
from slangmod.training.evaluate import Evaluator, Score

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Print the figures of a split as TOML."""
    folder, settings = open_existing(call)
    split = str(call.flags.get("split") or "validation")
    with joined(call.launch, settings) as company:
        refuse_other_runs(folder, company.team)
        LOG.info("the %s split, by the best model of run '%s'", split, folder.name)
        score = evaluate_run(folder, settings, split, company.team)
        if company.team.leads:
            sys.stdout.write(tomli_w.dumps({split: asdict(score)}))


def evaluate_run(
    folder: RunDir, settings: Settings, split: str, team: Team = ALONE
) -> Score:
    """Figures of ``split``, each token predicted once, without dropout or smoothing.

    Of several processes each predicts its part. Raises DataError if the run's tokenizer
    is broken, or is not that of the encodings.
    """
    encodings = check_fresh(settings)
    refuse_other_data(team, encodings)
    rows = dataset_of(encodings, settings, split, training=False)
    table = torch.from_numpy(encodings.token_bytes())
    encodings.refuse_replaced()
    device = choose_device(settings.data.device, team.seat)
    threads = settings.threads or torch.get_num_threads()
    with reproducible(settings.deterministic or device.type == "cpu", threads):
        model = load_model(folder.model, settings.plugins.allow).to(device)
        tokenizer = folder.model / TOKENIZER
        Codec.load(tokenizer)  # says what is wrong with a broken one
        known, found = encodings.manifest.tokenizer_sha256, sha256_of(tokenizer)
        if found != known:
            raise DataError(
                f"{encodings.folder}: its ids are by another tokenizer than {tokenizer}"
                f" ({known:.16}, not {found:.16}); they mean other text than what the "
                "run has learnt from"
            )
        score = Evaluator(device, settings.data.precision, team=team).score(
            model, rows.part_of(team.rank, team.size), table
        )
    assert score is not None  # nothing interrupts this evaluator
    return score
