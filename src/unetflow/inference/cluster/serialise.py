"""A segmenter on its way to another process: the bytes of its file."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported


@dataclass(frozen=True)
class PackedSegmenter:
    """A segmenter as the bytes of the file that `Segmenter.save` or `export` writes.

    So it is read as carefully as any file; nothing in it is run as code. Called, it gives the
    segmenter again.

    Attributes:
        name: Of the file; it tells what computes the network.
        content: The bytes.
        precision: See `Segmenter.load`.
    """

    name: str
    content: bytes
    precision: str

    def __call__(self) -> Segmenter:
        """Read the segmenter.

        Raises:
            InputError: What computes it is not installed.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, self.name)
            path.write_bytes(self.content)
            return Segmenter.load(path, precision=self.precision)


def pack(segmenter: Segmenter) -> PackedSegmenter:
    """Return a segmenter such that it can be sent, as `executor.open_executor` wants it.

    A network that was converted for another engine is sent as it is, so that nobody converts it
    again and workers need no Keras.
    """
    parts = segmenter.engine.parts
    with TemporaryDirectory() as folder:
        path = Path(folder, "segmenter.keras" if parts is None else "segmenter.zip")
        if parts is None:
            segmenter.save(path)
        else:
            Exported(segmenter.engine.name, parts, segmenter.settings).write(path)
        return PackedSegmenter(path.name, path.read_bytes(), segmenter.engine.precision)
