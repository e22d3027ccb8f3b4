"""``slangmod sweep --join``: one more worker on a sweep that is under way."""

import logging
import time
import uuid
from collections.abc import Sequence

from slangmod.commands.signals import Signals
from slangmod.commands.sweep import course_of, stopped, study_of, way_on
from slangmod.commands.sweep_folder import known_as, refuse_ways_out
from slangmod.commands.sweep_plan import make_plan
from slangmod.commands.sweeping import STOPPED
from slangmod.errors import UserError
from slangmod.files import read_mark
from slangmod.settings.resolved import Resolved

LOG = logging.getLogger(__name__)


def join(resolved: Resolved, program: Sequence[str], patience: float) -> None:
    """Help with a sweep that another process has begun, and that writes down its end.

    Waits so many seconds for it to begin. Raises UserError if there is none that looks
    for the same, StoppedError where a signal ended the help.
    """
    from slangmod.search.storage import kept, place_of

    assert resolved.settings.name is not None
    plan = make_plan(resolved, resolved.settings.name)
    until = time.monotonic() + patience
    while read_mark(plan.folder) is None:
        if time.monotonic() >= until:
            raise UserError(
                f"{plan.folder}: there is no sweep to help with; leave out --join"
            )
        time.sleep(1.0)
    refuse_ways_out(plan.folder)
    with Signals(way_on=way_on(plan)) as signals:
        study = study_of(plan, known_as(plan)[1])
        signals.arm()
        LOG.info("helping with sweep '%s' in %s", plan.name, plan.folder)
        with kept(place_of(plan.settings.sweep.storage, plan.folder), way_on(plan)):
            reason = course_of(plan, program, signals, study, uuid.uuid4().hex).run()
        if reason == STOPPED:
            raise stopped(plan, signals, "the trials of this worker saved")
    LOG.info("nothing is left to begin in sweep '%s'", plan.name)
