"""Serialisation of segmenters: the bytes of the segmenter's file, loaded in another process."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported


@dataclass(frozen=True)
class SerialisedSegmenter:
    """A segmenter as the bytes of its file, loaded by calling the object.

    The bytes are checked as any segmenter's file is, and nothing in them is run as code.

    Attributes:
        name: File name, whose suffix tells the runtime.
        content: The bytes.
        precision: See `Segmenter.load`.
    """

    name: str
    content: bytes
    precision: str

    def __call__(self) -> Segmenter:
        """Load the segmenter.

        Raises:
            InputError: The runtime is not installed.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, self.name)
            path.write_bytes(self.content)
            return Segmenter.load(path, precision=self.precision)


def serialise_segmenter(segmenter: Segmenter) -> SerialisedSegmenter:
    """Serialise a segmenter for `executor.open_executor`.

    A network that was converted for another runtime is sent converted, so workers need no Keras.
    """
    parts = segmenter.runtime.parts
    with TemporaryDirectory() as folder:
        path = Path(folder, "segmenter.keras" if parts is None else "segmenter.zip")
        if parts is None:
            segmenter.save(path)
        else:
            Exported(segmenter.runtime.name, parts, segmenter.settings).write(path)
        return SerialisedSegmenter(path.name, path.read_bytes(), segmenter.runtime.precision)
