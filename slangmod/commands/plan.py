"""``slangmod plan``: before a single step, what will happen."""

import json
import os

# Training imports these, too; a plan weighs a process that has them.
from slangmod.commands import train  # noqa: F401
from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.drawing import colourful, drawing_size
from slangmod.commands.needs import share_of
from slangmod.commands.plan_devices import foresee, lines, wish_of
from slangmod.commands.plan_devices import numbers as of_devices
from slangmod.commands.plan_page import page
from slangmod.commands.planning import (
    Plan,
    StagePart,
    make_plan,
    times_of,
    warnings_of,
)
from slangmod.parallel.crew import crew_of
from slangmod.settings.stages import stages_of

MOST_LINES = 18
"""Lines of the drawing; the rest of the page wants to be seen, too."""


def run(call: Call) -> None:
    """Print the plan of a training, as a page or as JSON."""
    wish, crew = wish_of(call.flags, os.environ), crew_of(os.environ)
    if not crew.leads:
        return
    if wish is not None:
        for stage in stages_of(call.settings):
            share_of(stage.settings, wish.devices)
    calibrate = not call.flags.get("no-calibration")
    plan = make_plan(call.settings, calibrate=calibrate)
    devices = None if wish is None else foresee(plan, wish, calibrate=calibrate)
    if call.flags.get("json"):
        more = {} if devices is None else {"devices": of_devices(devices)}
        say(json.dumps(numbers(plan) | more, indent=2) + "\n")
        return
    columns, rows = drawing_size(0)
    width = min(columns, 100)
    say(page(plan, (width, min(rows, MOST_LINES)), colourful()))
    if devices is not None:
        say("\n" + "\n".join(lines(devices, width)) + "\n")


def numbers(plan: Plan) -> dict[str, object]:
    """The plan as JSON has it: bytes, seconds, tokens; null is what is not known."""
    course, marks = plan.course, plan.course.milestones
    return {
        "device": str(plan.device),
        "threads": plan.threads,
        "vocab": plan.vocab,
        "data_at_hand": plan.data is not None,
        "warnings": list(warnings_of(plan)),
        "parameters": {"total": sum(plan.parts.values()), **plan.parts},
        "steps": plan.steps,
        "mini_batches": course.batches,
        "epochs": len(marks.epochs) if plan.data else None,
        "tokens": plan.tokens,
        "evaluations": list(marks.evaluations),
        "checkpoints": list(marks.checkpoints),
        "learning_rates": [rate for leg in course.rates for rate in leg],
        "flops": operations(plan),
        "memory": memory(plan),
        "compiled": plan.stages[0].trial.compiles,
        "seconds": seconds(plan),
        "stages": [stage(one) for one in plan.stages],
    }


def operations(plan: Plan) -> dict[str, int | None]:
    """Floating-point operations."""
    return {
        "of_token": plan.flops.total,
        "of_weights": plan.flops.weights,
        "of_attention": plan.flops.attention,
        "of_step": plan.stages[0].flops_per_step,
        "total": None if plan.steps is None else plan.operations,
    }


def memory(plan: Plan) -> dict[str, int | None]:
    """Bytes at the peak: by what they are held for, their sum, and as tried."""
    held = plan.memory
    return {
        "process": held.process,
        **held.parts,
        "kept_by_allocator": held.kept,
        "estimate": held.estimate,
        "measured": held.measured,
        "peak": held.peak,
    }


def seconds(plan: Plan) -> dict[str, float] | None:
    """Of the whole training, by what they go into."""
    times = times_of(plan)
    if times is None:
        return None
    return {
        "compiling": times.compiling,
        "steps": times.steps,
        "evaluations": times.evaluations,
        "checkpoints": times.checkpoints,
        "training": times.training,
    }


def stage(part: StagePart) -> dict[str, object]:
    """A stage of the plan."""
    return {
        "number": part.plan.number,
        "name": part.plan.name,
        "steps": part.steps,
        "tokens_per_step": part.tokens_per_step,
        "seconds_per_step": part.seconds_per_step,
        "seconds": part.seconds,
    }
