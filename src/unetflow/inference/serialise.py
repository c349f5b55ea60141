"""Serialisation of segmenters: the bytes of the segmenter's file, loaded in another process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported


def serialise_segmenter(segmenter: Segmenter) -> Callable[[], Segmenter]:
    """Return a picklable function that loads the segmenter in another process.

    It carries the bytes of the segmenter's file, which are checked as any such file is: nothing in
    them is run as code. A network that was converted for another runtime is sent converted, so
    workers need no Keras. The function raises an `InputError` where the runtime is not installed.
    """
    parts = segmenter.runtime.parts
    with TemporaryDirectory() as folder:
        path = Path(folder, "segmenter.keras" if parts is None else "segmenter.zip")
        if parts is None:
            segmenter.save(path)
        else:
            Exported(segmenter.runtime.name, parts, segmenter.settings).write(path)
        return partial(_load, path.name, path.read_bytes(), segmenter.runtime.precision)


def _load(name: str, content: bytes, precision: str) -> Segmenter:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return Segmenter.load(path, precision=precision)
