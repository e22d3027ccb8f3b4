"""Makes the table of docs/performance.rst from what benchmarks/results has.

python benchmarks/figures.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE.parent / "docs" / "performance-table.inc"
HEAD = """\
.. Made from benchmarks/results by benchmarks/figures.py: change nothing here.

.. list-table::
   :header-rows: 1
   :widths: 40 26 12 12 10

   * - work
     - against
     - aimed at
     - median
     - best
"""
Row = tuple[str, str, str, str, str]


def read(name: str) -> dict[str, Any]:
    """A result; {} where there is none."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def times(number: float | None) -> str:
    return "" if number is None else f"{number:.2f} x"


def training() -> Iterator[Row]:
    for file, word in (("training", "2 threads"), ("training-1", "1 thread, CPU time")):
        found = read(file)
        for row, ratio in found.get("times_as_fast_as", {}).items():
            yield (
                f"training, {word}",
                row,
                times(ratio["goal"]),
                times(ratio["median"]),
                times(ratio["best"]),
            )
    found = read("earlier")
    for row, ratio in found.get("times_as_fast_as", {}).items():
        goal = times(found["goal"]) if row == "slangmod, earlier" else ""
        figures = times(ratio["median"]), times(ratio["best"])
        yield (
            "training, small and with dropout" * ("without" not in row)
            or "training, small",
            f"what slangmod 0.1 did: {row}",
            goal,
            *figures,
        )


def writing() -> Iterator[Row]:
    found = read("generation")
    for threads in ("1 threads", "2 threads"):
        wall = found.get(threads, {}).get("wall", {})
        for name in ("slangmod as GPT-2", "slangmod"):
            if wall:
                yield (
                    f"generation, {name}, {threads}",
                    "transformers generate",
                    times(found["goal"]),
                    times(wall["ratio"][name]),
                    times(wall["ratio_of_best"][name]),
                )


def text() -> Iterator[Row]:
    for name, one in read("encode").get("texts", {}).items():
        yield (
            f"encode {name}, one core",
            "tokenizers",
            "3.00 x",
            times(one["ratio"]),
            "",
        )
    for name, one in read("tokenizer").get("texts", {}).items():
        for threads in ("1 threads", "2 threads"):
            wall = one.get(threads, {}).get("wall")
            if wall:
                ratio, best = wall["ratio"], wall["ratio_of_best"]
                theirs = next(key for key in ratio if key != "slangmod")
                yield (
                    f"learning a tokenizer from {name}, {threads}",
                    theirs,
                    "1.00 x",
                    times(ratio[theirs]),
                    times(best[theirs]),
                )


def memory() -> Iterator[Row]:
    found = read("memory")
    for shape, one in found.get("loss", {}).items():
        for way, share in one["share"].items():
            yield (
                f"memory above the model's own, vocabulary 32 k, {shape}, {way}",
                "plain cross-entropy",
                times(found["goal"]),
                times(share),
                "",
            )


def start() -> Iterator[Row]:
    found = read("startup")
    if found:
        for name in ("--help", "config show"):
            seconds = found["processor_seconds"][name]
            best = found["best_processor_seconds"][name]
            yield f"slangmod {name}", "", "0.30 s", f"{seconds:.2f} s", f"{best:.2f} s"
        yield (
            "train, to its first step",
            "import torch",
            "2.00 x",
            times(found["train_in_imports_of_torch"]),
            times(found["of_best"]),
        )
    for precision, one in read("overhead").get("precisions", {}).items():
        share = one["share"]
        yield (
            f"share of a step that is not learning, {precision}",
            "",
            "2 %",
            f"{100 * share['median']:.2f} %",
            f"{100 * share['best']:.2f} %",
        )


def main() -> None:
    rows = [*training(), *writing(), *text(), *memory(), *start()]
    body = "".join(
        "   * - " + "\n     - ".join(cell or "\\" for cell in row) + "\n"
        for row in rows
    )
    TABLE.write_text(HEAD + body, "utf-8")
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main()
