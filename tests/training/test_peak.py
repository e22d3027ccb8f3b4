"""How fast a device could be: from a table where it is known, else measured."""

import math

import pytest
import torch

from slangmod.training import peak
from slangmod.training.peak import ENOUGH, KINDS, KNOWN, SHAPES, Peak, kind_of, peak_of

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(peak, "BRIEF", 1e-4)
    clear = peak.measured.cache_clear
    clear()
    yield
    clear()


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("NVIDIA H200", "bfloat16", 989.4),
        ("NVIDIA H200", "float32", 66.9),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312.0),
        ("NVIDIA GeForce RTX 4090", "float32", 82.6),
    ],
)
def test_a_known_gpu_has_the_peak_of_its_data_sheet(
    monkeypatch, name, precision, tflops
):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: name)
    known = peak_of(GPU, precision)
    assert known.flops == pytest.approx(tflops * 1e12)
    assert known.source == f"data sheet of {name.removeprefix('NVIDIA ')}, {precision}"


@pytest.mark.parametrize(
    "name", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU"]
)
def test_a_part_of_a_card_or_a_lesser_one_is_measured(monkeypatch, name):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: name)
    monkeypatch.setattr(peak, "measured", lambda *_: 7.0)
    assert peak_of(GPU, "bfloat16") == Peak(7.0, "measured, bfloat16")


def test_float32_on_a_gpu_is_tf32_where_torch_may_take_it(monkeypatch):
    monkeypatch.setattr("torch.get_float32_matmul_precision", lambda: "high")
    assert kind_of(GPU, "float32") == "tf32"
    assert kind_of(CPU, "float32") == "float32"
    assert kind_of(GPU, "bfloat16") == "bfloat16"


def test_every_gpu_is_faster_with_fewer_bits():
    for name, figures in KNOWN.items():
        assert len(figures) == len(KINDS)
        assert list(figures) == sorted(figures, reverse=True), name


def test_the_fastest_of_the_products_is_the_peak_and_threads_are_named(monkeypatch):
    taken = dict.fromkeys(SHAPES, 1e-5) | {SHAPES[1]: 1e-9}
    monkeypatch.setattr(peak, "fastest", lambda _, __, shape, ___: taken[shape])
    rows, inner, columns = SHAPES[1]
    measured = peak_of(CPU, "float32")
    assert measured.flops == pytest.approx(2e9 * rows * inner * columns)
    assert measured.source == "measured, float32, 1 thread"


def test_no_larger_product_is_tried_than_one_that_keeps_the_device_busy(monkeypatch):
    tried = []

    def fastest(_, __, shape, seconds):
        tried.append(shape)
        return seconds * (ENOUGH if len(tried) == 2 else ENOUGH / 2)

    monkeypatch.setattr(peak, "fastest", fastest)
    peak_of(CPU, "float32")
    assert tried == list(SHAPES[:2])


def test_each_product_is_larger_than_the_one_before():
    sizes = [math.prod(shape) for shape in SHAPES]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_measuring_draws_no_chance_and_is_done_once(monkeypatch, precision):
    monkeypatch.setattr(peak, "SHAPES", ((32, 32, 32),))
    before = torch.get_rng_state()
    first = peak_of(CPU, precision)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.flops > 0
    assert peak_of(CPU, precision) == first
    assert peak.measured.cache_info().misses == 1
