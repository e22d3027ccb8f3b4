"""A plan as a page of text: what there is, what it takes, and what is only guessed."""

import textwrap
from collections.abc import Iterator
from typing import Final

from slangmod.commands.counting import amount, spaced
from slangmod.commands.planning import Plan, StagePart, Times, times_of, warnings_of
from slangmod.runs.foresight import Marks, draw_rates
from slangmod.runs.wording import operations, short_count, short_time
from slangmod.settings.per_layer import layers_of
from slangmod.training.calibration import Calibration
from slangmod.training.rehearsal import COPIES, PARTS

INDENT: Final = 14
"""Columns of the names on the left."""

MB: Final = 10**6

LEAST_WIDTH: Final = 80
"""Columns that every terminal is taken to have."""

MEANING: Final = {
    "process": "Python, PyTorch and its kernels",
    "weights": "float32, and tables of positions",
    "copies": "of weights: train.ema, convergence_norm",
    "gradients": "held when most is held in all",
    "optimizer": "moments of {optimizer}",
    "activations": "kept to go back, and work space",
    "logits": "{tokens} x {vocab}, copies included",
    "kept": "free, but kept by the allocator",
}


def page(plan: Plan, size: tuple[int, int], colour: bool) -> str:
    """Everything; the curve is drawn in ``size`` columns by lines."""
    width = size[0]
    blocks = [model(plan), training(plan)]
    if any(plan.course.rates):
        blocks += [rates(plan), iter([drawing(plan, size, colour)])]
    blocks += [compute(plan), memory(plan), time(plan)]
    lines = [line for block in blocks for line in (*block, "")]
    for text in warnings_of(plan):
        lines += [*wrapped("warning", text, width), ""]
    return "\n".join(lines[:-1]) + "\n"


def line(name: str, text: str) -> str:
    """A line of the page."""
    return f"{name:<{INDENT}}{text}".rstrip()


def wrapped(name: str, text: str, width: int) -> list[str]:
    """``text`` in as many lines as it needs."""
    first, *rest = textwrap.wrap(text, max(40, width - INDENT - 2))
    return [line(name, first), *(line("", more) for more in rest)]


def share(name: str, number: int, whole: int, unit: str, note: str = "") -> str:
    """A line of a table: what, how much, how much of the whole."""
    percent = 100 * number / max(1, whole)
    text = f"{spaced(number):>13}{unit} {percent:5.1f} %  {note}"
    return line(f"  {name}", text)


def model(plan: Plan) -> Iterator[str]:
    """Parameters by part."""
    total = sum(plan.parts.values())
    count = amount(total, "parameter")
    where = "" if plan.data else " (no encodings yet)"
    yield line("model", f"{count}; vocabulary {spaced(plan.vocab)}{where}")
    for name, number in plan.parts.items():
        if number:
            yield share(name, number, total, "  ")


def training(plan: Plan) -> Iterator[str]:
    """How long it will be, stage by stage."""
    course, steps = plan.course, plan.steps
    if steps is None or course.batches is None:
        yield line("training", "its length is not known, see below")
        return
    parts = [amount(steps, "step"), amount(course.batches, "mini-batch", "es")]
    if plan.data is not None:
        parts.append(amount(len(course.milestones.epochs), "whole epoch"))
    yield line("training", ", ".join(parts))
    each = plan.stages[0].tokens_per_step
    yield line("", f"{spaced(plan.tokens or 0)} tokens at most, {spaced(each)} a step")
    looks = amount(len(course.milestones.evaluations), "evaluation")
    saves = amount(len(course.milestones.checkpoints), "checkpoint")
    yield line("", f"{looks}, at most {saves}")
    if may_end := early(plan):
        yield line("", f"{may_end} may end it sooner")
    if plan.settings.stage:
        for stage in plan.stages:
            name = f"  stage {stage.plan.number}"
            yield from wrapped(name, in_words(stage), LEAST_WIDTH)


def early(plan: Plan) -> str:
    """The settings that may end training before its last step."""
    train = plan.settings.train
    names = ("patience", "patience_steps", "convergence_threshold", "max_time")
    given = [f"train.{name}" for name in names if getattr(train, name) is not None]
    return " and ".join(given)


def in_words(stage: StagePart) -> str:
    """A stage in one line."""
    parts = [stage.plan.name] if stage.plan.name != str(stage.plan.number) else []
    parts.append(amount(stage.steps or 0, "step"))
    if stage.rates:
        parts.append(f"rate {stage.rates[0]:.3g} to {stage.rates[-1]:.3g}")
    if stage.seconds is not None:
        parts.append(f"about {short_time(stage.seconds)}")
    return ", ".join(parts)


def rates(plan: Plan) -> Iterator[str]:
    """The learning rate in numbers."""
    flat = [rate for leg in plan.course.rates for rate in leg]
    peak, train = max(flat), plan.settings.train
    place = spaced(flat.index(peak) + 1)
    yield line("rate", f"{train.scaling}, warmup {train.warmup}")
    yield line(
        "", f"first {flat[0]:.3g}, {peak:.3g} at step {place}, last {flat[-1]:.3g}"
    )


def drawing(plan: Plan, size: tuple[int, int], colour: bool) -> str:
    """The learning rate as a curve, with marks below."""
    course, milestones = plan.course, plan.course.milestones
    flat = [rate for leg in course.rates for rate in leg]
    marks = [
        Marks("tested", "▴", milestones.evaluations),
        Marks("saved", "▪", milestones.checkpoints),
    ]
    if len(plan.stages) > 1:
        marks.insert(0, Marks("stage", "│", milestones.stages))
    return draw_rates(flat, marks, size, colour).rstrip("\n")


def compute(plan: Plan) -> Iterator[str]:
    """Operations, and how they are counted."""
    flops, first = plan.flops, plan.stages[0]
    parts = [f"{operations(first.flops_per_step)} a step"]
    if plan.steps:
        parts.append(f"{operations(plan.operations)} in all")
    yield line("compute", "; ".join(parts))
    model = first.plan.settings.model
    layers = len(layers_of(model))
    seen = flops.attention / (12 * model.dim * layers)
    weights = spaced(flops.weights // 6)
    yield line("", f"a token: 6 x {weights} weights that multiply")
    yield line(
        "", f"  + 12 x {model.dim} x {seen:g} looked at in each of {layers} layers"
    )


def memory(plan: Plan) -> Iterator[str]:
    """The peak of memory, by what it is held for."""
    held, on = plan.memory, "resident" if plan.memory.process else "allocated"
    how = "as tried here" if held.measured else "by the tensors there will be"
    yield line("memory", f"{megabytes(held.peak)} {on} at the peak, {how}")
    settings = plan.stages[0].plan.settings
    words = {
        "optimizer": settings.train.optimizer,
        "tokens": spaced(settings.train.batch_size * settings.data.seq_len),
        "vocab": spaced(plan.vocab),
    }
    parts = {"process": held.process, **held.parts, "kept": held.kept}
    whole = held.estimate // MB
    for name, number in parts.items():
        note = MEANING[name].format(**words)
        if number > MB or (name in PARTS and name != COPIES):
            yield share(name, number // MB, whole, " MB", note)
    yield share("sum", whole, whole, " MB", "without trying")


def megabytes(number: int) -> str:
    """Bytes in units of a million."""
    return f"{spaced(number // MB)} MB"


def time(plan: Plan) -> Iterator[str]:
    """Seconds of a step and of the whole, or why they are not known."""
    tried, first = plan.stages[0].trial.calibration, plan.stages[0]
    if tried is None:
        yield line("time", "not known: no steps were tried")
        return
    speed = short_count(first.tokens_per_step / tried.step_seconds)
    how = how_computed(tried)
    yield line("time", f"{tried.step_seconds:.3g} s a step, {speed} tokens/s, {how}")
    threads = amount(plan.threads, "thread")
    where = f"{plan.device}, {threads}, random tokens"
    yield line("", f"median of {amount(tried.steps, 'step')} on {where}")
    times = times_of(plan)
    if times is None:
        return
    whole = short_time(times.training + times.compiling)
    yield from wrapped("", f"about {whole} in all: {in_parts(times)}", LEAST_WIDTH)
    if plan.test_batches is None:
        yield line("", "evaluations not included: there are no data yet")


def how_computed(tried: Calibration) -> str:
    """Whether compiled, and how long that took."""
    if not tried.compiled:
        return "not compiled"
    return f"compiled in {short_time(tried.compile_seconds)}"


def in_parts(times: Times) -> str:
    """What the time goes into."""
    parts = [f"steps {short_time(times.steps)}"]
    parts += [f"compiling {short_time(times.compiling)}"] if times.compiling else []
    parts.append(f"evaluations {short_time(times.evaluations)}")
    parts.append(f"checkpoints {short_time(times.checkpoints)}")
    return ", ".join(parts)
