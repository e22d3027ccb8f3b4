"""Compares how fast one stream of text is written here and by transformers.

    python benchmarks/generation.py [--rounds N]

Both write NEW tokens after PROMPT, greedily, with a cache, in float32, which is what
slangmod writes in whatever ``data.precision`` trained it. The model has 6 layers, dim
256, 8 heads and a vocabulary of 4096. "slangmod as GPT-2" has the very weights of the
GPT-2 of transformers and must write the same ids; "slangmod" is the default model.

Each program lives in a process of its own, set up as it sets itself up, and they take
turns, first with one thread and then with two. Figures are of wall time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "generation.json"
PROMPT, NEW = 16, 128
LAYERS, DIM, HEADS, VOCAB, CONTEXT = 6, 256, 8, 4096, 256
THREADS = (1, 2)
ENGINES = ("transformers", "slangmod as GPT-2", "slangmod")
GOAL = 2.0
Write = Callable[[list[int]], list[int]]


def their_writer(weights: Path) -> Write:
    """``generate`` of transformers, as its documentation calls it."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=CONTEXT,
        n_embd=DIM,
        n_layer=LAYERS,
        n_head=HEADS,
        activation_function="gelu",
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).eval()
    model.load_state_dict(their_weights(weights), strict=False)

    def write(prompt: list[int]) -> list[int]:
        ids = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            max_new_tokens=NEW,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        return ids[0, len(prompt) :].tolist()

    return write


def their_weights(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    weights = load_file(path)
    return {**weights, "lm_head.weight": weights["transformer.wte.weight"]}


def our_writer(weights: Path | None) -> Write:
    """What ``slangmod generate`` and ``chat`` write with, without a terminal."""
    import torch

    from slangmod.generation.generate import build_generator
    from slangmod.generation.reader import lay_out_for_reading
    from slangmod.model import build_model
    from slangmod.settings.sections import Settings

    shape: dict[str, Any] = {"dim": DIM, "n_heads": HEADS, "n_layers": LAYERS}
    if weights is not None:
        biased = {"bias": True}
        shape |= {"positions": "learnable", "context": CONTEXT, "attn_bias": True}
        shape |= {"feedforward": biased}
    settings = Settings.model_validate({"model": shape, "chat": {"max_tokens": NEW}})
    torch.manual_seed(0)
    model = build_model(settings, VOCAB).eval()
    if weights is not None:
        model.load_state_dict(as_ours(their_weights(weights)))
    generate = build_generator(settings, lay_out_for_reading(model), end=-1)
    return lambda prompt: list(generate(prompt))


def as_ours(theirs: dict[str, Any]) -> dict[str, Any]:
    """Weights of GPT-2 by our names; its projections are stored the other way."""
    body = "transformer."
    ours = {
        "embedding.weight": theirs[f"{body}wte.weight"],
        "positions.embedding.weight": theirs[f"{body}wpe.weight"],
    }
    names = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.output": "attn.c_proj",
        "feedforward_norm": "ln_2",
        "feedforward.up": "mlp.c_fc",
        "feedforward.down": "mlp.c_proj",
    }
    for part in ("weight", "bias"):
        ours[f"norm.{part}"] = theirs[f"{body}ln_f.{part}"]
        for layer in range(LAYERS):
            for name, other in names.items():
                weight = theirs[f"{body}h.{layer}.{other}.{part}"]
                ours[f"layers.{layer}.{name}.{part}"] = (
                    weight.t() if weight.ndim == 2 else weight
                )
    return ours


def draw_weights(path: Path) -> None:
    """Weights of a GPT-2 that differ enough for its text not to stand still."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    body, normal = "transformer.", torch.randn
    weights = {
        f"{body}wte.weight": 0.02 * normal(VOCAB, DIM),
        f"{body}wpe.weight": 0.5 * normal(CONTEXT, DIM),
        f"{body}ln_f.weight": torch.ones(DIM),
        f"{body}ln_f.bias": torch.zeros(DIM),
    }
    shapes = {
        "attn.c_attn": (DIM, 3 * DIM),
        "attn.c_proj": (DIM, DIM),
        "mlp.c_fc": (DIM, 4 * DIM),
        "mlp.c_proj": (4 * DIM, DIM),
    }
    for layer in range(LAYERS):
        for name in ("ln_1", "ln_2"):
            weights[f"{body}h.{layer}.{name}.weight"] = 1 + 0.1 * normal(DIM)
            weights[f"{body}h.{layer}.{name}.bias"] = 0.1 * normal(DIM)
        for name, (inner, outer) in shapes.items():
            place = f"{body}h.{layer}.{name}"
            weights[f"{place}.weight"] = normal(inner, outer) / inner**0.5
            weights[f"{place}.bias"] = 0.1 * normal(outer)
    save_file(weights, path)


def serve(engine: str, threads: int, weights: Path) -> None:
    """Write once for each line of input; -> a line with seconds and ids."""
    if engine.startswith("slangmod"):
        from slangmod.libraries import prepare

        prepare(os.environ)
    import torch

    torch.set_num_threads(threads)
    if engine == "transformers":
        write = their_writer(weights)
    else:
        write = our_writer(weights if engine == "slangmod as GPT-2" else None)
    prompt = list(range(100, 100 + PROMPT))
    write(prompt)
    for _ in sys.stdin:
        begin, busy = time.perf_counter(), time.process_time()
        ids = write(prompt)
        seconds = time.perf_counter() - begin, time.process_time() - busy
        print(json.dumps([*seconds, ids]), flush=True)


def started(engine: str, threads: int, weights: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, __file__, "--serve", engine]
    words += ["--threads", str(threads), "--weights", str(weights)]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def asked(process: "subprocess.Popen[str]") -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compared(threads: int, rounds: int, weights: Path) -> dict[str, Any]:
    processes = {name: started(name, threads, weights) for name in ENGINES}
    seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
    busy: dict[str, list[float]] = {name: [] for name in ENGINES}
    ids = {}
    for _ in range(rounds):
        for name, process in processes.items():
            wall, cpu, ids[name] = asked(process)
            seconds[name].append(wall)
            busy[name].append(cpu)
    for process in processes.values():
        process.communicate()
    assert ids["transformers"] == ids["slangmod as GPT-2"], "ids differ"
    assert len(ids["slangmod"]) == NEW
    assert len(set(ids["transformers"])) > 4, "the text stands still"
    return {"wall": figures(seconds), "cpu": figures(busy)}


def figures(seconds: dict[str, list[float]]) -> dict[str, Any]:
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    best = {name: min(each) for name, each in seconds.items()}
    theirs = "transformers"
    return {
        "tokens_per_second": {name: NEW / one for name, one in middle.items()},
        "ratio": {name: middle[theirs] / middle[name] for name in ENGINES},
        "ratio_of_best": {name: best[theirs] / best[name] for name in ENGINES},
        "seconds": seconds,
    }


def main(rounds: int) -> None:
    from slangmod.runs.environment import environment

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        draw_weights(weights)
        by_threads = {
            f"{threads} threads": compared(threads, rounds, weights)
            for threads in THREADS
        }
    result = {
        "command": "python benchmarks/generation.py",
        "environment": environment("cpu", max(THREADS))
        | {"transformers": metadata.version("transformers")},
        "goal": GOAL,
        "prompt": PROMPT,
        "new_tokens": NEW,
        **by_threads,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for threads, each in by_threads.items():
        for name, ratio in each["wall"]["ratio"].items():
            speed = each["wall"]["tokens_per_second"][name]
            best = each["wall"]["ratio_of_best"][name]
            print(
                f"{threads}: {name}: {speed:.0f} tokens/s, {ratio:.2f} times "
                f"(best {best:.2f})"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--serve", choices=ENGINES)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.threads, options.weights)
    else:
        main(options.rounds)
