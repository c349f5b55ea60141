import platform
import sys
from types import SimpleNamespace

import pytest
import tensorflow

from unetflow.models import device


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: [])


def test_linux_names_the_processor(monkeypatch, tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU: 2 GHz\nmodel name: x\n")
    monkeypatch.setattr(device, "_CPU_INFO", path)
    assert device.describe_device() == "Some CPU: 2 GHz"


def test_other_systems_give_the_architecture(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert device.describe_device() == platform.machine()


def test_a_gpu_is_named_rather_than_the_processor(monkeypatch):
    gpus = [tensorflow.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: gpus)
    details = {"device_name": "Some GPU"}
    monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", lambda gpu: details)
    assert device.describe_device() == "Some GPU"


class _JaxDevice:
    def __init__(self, platform, kind="cpu", capability=None):
        self.platform, self.device_kind = platform, kind
        if capability:
            self.compute_capability = capability


def _take_backend(monkeypatch, name, module):
    monkeypatch.setattr(device.keras.backend, "backend", lambda: name)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    ("first", "there", "capability"),
    [
        (_JaxDevice("cpu"), False, None),
        (_JaxDevice("gpu", "Some GPU", "8.6"), True, (8, 6)),
        (_JaxDevice("gpu", "GPU of others"), True, None),
    ],
)
def test_the_gpu_of_jax_is_described(monkeypatch, first, there, capability):
    _take_backend(monkeypatch, "jax", SimpleNamespace(devices=lambda: [first]))
    assert device.has_gpu() is there
    assert device.find_gpu_capability() == capability
    assert (device.describe_device() == first.device_kind) is there
    assert device.compiles_with_xla()


def test_tensorflow_does_not_compile_whole_steps():
    assert not device.compiles_with_xla()
    assert not device.has_gpu()
