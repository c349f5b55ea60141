import platform

import pytest
import tensorflow

from unetflow.unet import device


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: [])


def test_the_processor_is_named_as_linux_does(monkeypatch, tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU: 2 GHz\nmodel name: x\n")
    monkeypatch.setattr(device, "_CPU_INFO", path)
    assert device.describe_device() == "Some CPU: 2 GHz"


def test_elsewhere_the_architecture_is_better_than_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert device.describe_device() == platform.machine()


def test_a_gpu_goes_before_the_processor(monkeypatch):
    gpus = [tensorflow.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: gpus)
    details = {"device_name": "Some GPU"}
    monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", lambda gpu: details)
    assert device.describe_device() == "Some GPU"
