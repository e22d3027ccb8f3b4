"""Curves as a script for gnuplot that holds its data: ``slangmod ... | gnuplot -p``.

Names of runs go into single quotes, in which gnuplot expands nothing, and titles are
not ``enhanced``, so that ``_`` and ``^`` stay what they are. Blocks of data hold
numbers only; they are named by number.
"""

from collections.abc import Iterator

from slangmod.runs.curves import AXES, Axis, Curve, RunCurves, end_of, window
from slangmod.settings.literals import printable

COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#b83280", "#6b46c1", "#0987a0", "#975a16")
HEAD = """\
# Curves of slangmod. `gnuplot -p FILE` shows them; this makes a picture of them:
# gnuplot -e "set terminal pngcairo size 1200,800; set output 'FILE.png'" FILE
set encoding utf8
set grid
set key top right noenhanced
"""


def script(runs: tuple[RunCurves, ...], axis: Axis) -> str:
    """A script that draws losses, and below them learning rates."""
    lines = [HEAD]
    for number, run in enumerate(runs, start=1):
        lines += block(f"train{number}", run.train)
        lines += block(f"smooth{number}", run.train.smoothed())
        lines += block(f"test{number}", run.test)
        lines += block(f"rate{number}", run.rate)
    low, high = window([run.test for run in runs] + [run.train for run in runs])
    lines += [
        *(
            f"set arrow from {place!r}, graph 0 to {place!r}, graph 1 nohead dt 3"
            for run in runs
            for place in run.borders
        ),
        "set multiplot layout 2,1",
        f"set title {quoted('loss, nats per token')} noenhanced",
        f"set xlabel {quoted(AXES[axis])} noenhanced",
        f"set yrange [{low!r}:{high!r}]",
        "plot " + ", \\\n     ".join(losses(runs)),
    ]
    if any(len(run.rate) for run in runs):
        lines += [
            f"set title {quoted('learning rate')} noenhanced",
            f"set yrange [0:{1.05 * end_of(run.rate.y for run in runs)!r}]",
            "plot " + ", \\\n     ".join(rates(runs)),
        ]
    return "\n".join([*lines, "unset multiplot"]) + "\n"


def losses(runs: tuple[RunCurves, ...]) -> Iterator[str]:
    """What there is to draw of losses: as logged, smoothed, and on the test split."""
    for number, run in enumerate(runs, start=1):
        colour = quoted(COLOURS[(number - 1) % len(COLOURS)])
        if len(run.train):
            faint = quoted("#bb" + COLOURS[(number - 1) % len(COLOURS)][1:])
            yield f"$train{number} with lines lc rgb {faint} notitle"
            title = quoted(f"{run.name}, training")
            yield f"$smooth{number} with lines lc rgb {colour} title {title}"
        if len(run.test):
            title = quoted(f"{run.name}, test")
            style = f"with linespoints lw 2 pt 7 ps 0.6 lc rgb {colour}"
            yield f"$test{number} {style} title {title}"


def rates(runs: tuple[RunCurves, ...]) -> Iterator[str]:
    """What there is to draw of learning rates."""
    for number, run in enumerate(runs, start=1):
        colour = quoted(COLOURS[(number - 1) % len(COLOURS)])
        if len(run.rate):
            yield f"$rate{number} with lines lc rgb {colour} notitle"


def block(name: str, curve: Curve) -> list[str]:
    """A block of data called ``name``; nothing where there are no points."""
    if not len(curve):
        return []
    points = zip(curve.x.tolist(), curve.y.tolist(), strict=True)
    return [f"${name} << END", *(f"{x!r} {y!r}" for x, y in points), "END"]


def quoted(text: str) -> str:
    """``text`` as a string of gnuplot that means nothing but itself, on one line."""
    return "'" + printable(text).replace("'", "''") + "'"
