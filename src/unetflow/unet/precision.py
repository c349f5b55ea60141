"""The type of number in which a network computes while it trains."""

import keras

from unetflow.unet.device import find_gpu_capability, read_processor_flags

PRECISIONS = ("float32", "bfloat16")

_QUICK_PROCESSORS = {"avx512_bf16", "amx_bf16"}
_QUICK_GPU = (8, 0)
"""From this compute capability on (Ampere), NVIDIA's GPUs multiply bfloat16 faster."""

_IN_FLOAT32 = ("probabilities", "enlarge", "cut", "all_probabilities")
"""The heads and what follows them: a probability near 1 has no 3 digits in bfloat16."""


def choose_precision(wanted: str) -> str:
    """Return the precision to train in.

    Args:
        wanted: One of `PRECISIONS`, or "auto" for bfloat16 where the GPU, or without one the
            processor, multiplies it faster than float32.
    """
    if wanted != "auto":
        return wanted
    capability = find_gpu_capability()
    if capability is not None:
        return "bfloat16" if capability >= _QUICK_GPU else "float32"
    return "bfloat16" if _QUICK_PROCESSORS & read_processor_flags() else "float32"


def in_precision(unet: keras.Model, precision: str) -> keras.Model:
    """Return a network that computes in another precision, with the same weights.

    The weights are in float32 either way, and so are normalisation, losses and probabilities.

    Args:
        unet: A network that `build_unet` made, in float32.
        precision: One of `PRECISIONS`.

    Returns:
        The network itself for float32, else a copy.
    """
    if precision == "float32":
        return unet
    config = unet.get_config()
    for layer in config["layers"]:
        if not layer["name"].startswith(_IN_FLOAT32) and layer["class_name"] != "InputLayer":
            layer["config"]["dtype"] = f"mixed_{precision}"
    copy = type(unet).from_config(config)
    copy.set_weights(unet.get_weights())
    return copy
