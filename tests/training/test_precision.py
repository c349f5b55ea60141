import pytest

from unetflow.training import machine
from unetflow.training.machine import choose_precision


@pytest.mark.parametrize(
    ("gpu", "flags", "chosen"),
    [
        (None, {"avx2"}, "float32"),
        (None, {"avx2", "avx512f", "avx512_bf16"}, "bfloat16"),
        (None, {"amx_bf16"}, "bfloat16"),
        ((7, 5), {"avx512_bf16"}, "float32"),
        ((8, 0), set(), "bfloat16"),
        ((9, 0), set(), "bfloat16"),
    ],
)
def test_the_precision_is_the_one_that_the_machine_is_quick_at(monkeypatch, gpu, flags, chosen):
    monkeypatch.setattr(machine, "find_gpu_capability", lambda: gpu)
    monkeypatch.setattr(machine, "read_processor_flags", lambda: flags)
    assert choose_precision("auto", 16) == chosen
    assert choose_precision("float32", 16) == "float32"
    assert choose_precision("bfloat16", 8) == "bfloat16"


def test_a_narrow_network_stays_in_float32_on_a_processor_and_not_on_a_gpu(monkeypatch):
    monkeypatch.setattr(machine, "read_processor_flags", lambda: {"avx512_bf16"})
    monkeypatch.setattr(machine, "find_gpu_capability", lambda: None)
    assert choose_precision("auto", 15) == "float32"
    assert choose_precision("auto", 24) == "bfloat16"
    monkeypatch.setattr(machine, "find_gpu_capability", lambda: (9, 0))
    assert choose_precision("auto", 4) == "bfloat16"
