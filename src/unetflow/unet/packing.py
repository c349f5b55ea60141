"""A segmenter on its way to another process: the bytes of its file."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from unetflow.unet.segmenter import Segmenter


@dataclass(frozen=True)
class PackedSegmenter:
    """A segmenter as the bytes of the file that `Segmenter.save` or `export` writes.

    So it is read as carefully as any file; nothing in it is run as code. Called, it gives the
    segmenter again.

    Attributes:
        content: The bytes.
        precision: See `Segmenter.load`.
    """

    content: bytes
    precision: str

    def __call__(self) -> Segmenter:
        """Read the segmenter.

        Raises:
            InputError: What computes it is not installed.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, _NAME)
            path.write_bytes(self.content)
            return Segmenter.load(path, precision=self.precision)


_NAME = "segmenter.keras"


def pack(segmenter: Segmenter) -> PackedSegmenter:
    """Return a segmenter such that it can be sent, as `runners.open_runner` wants it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, _NAME)
        segmenter.save(path)
        return PackedSegmenter(path.read_bytes(), segmenter.engine.precision)
