"""``slangmod report``: all about runs on one page that opens anywhere."""

import logging
from datetime import datetime
from pathlib import Path

from slangmod import files
from slangmod.commands.call import Call
from slangmod.commands.choosing import named_runs
from slangmod.commands.existing import chosen_run
from slangmod.errors import UserError
from slangmod.runs.report import report_page

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Write the page; into the folder of the first run, where no file is named."""
    runs = named_runs(call) or (chosen_run(call.settings),)
    output = call.flags.get("output")
    path = Path(str(output)) if output else runs[0].report
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"--output {path}: is no file in a folder that exists")
    now = datetime.now().astimezone()
    files.write_text(path, report_page(runs, call.settings.plot, now))
    LOG.info("the report is %s", path)
