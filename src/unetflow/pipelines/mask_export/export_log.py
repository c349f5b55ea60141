"""What became of the images of an export."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from unetflow.inference.segment_image import Outcome, SegmentedImage
from unetflow.io.image_file import ImageFile


@dataclass(frozen=True)
class ExportedImage:
    """What became of one image.

    Attributes:
        name: What it is called.
        file_name: Its file, with the folders that its name has.
        reason: Why it could not be segmented; empty if it could.
        unlike: In what it is unlike the training images; empty if in nothing.
        has_objects: Whether its objects were looked for.
    """

    name: str
    file_name: str
    reason: str = ""
    unlike: str = ""
    has_objects: bool = False


@dataclass
class ExportLog:
    """What became of all images so far.

    Attributes:
        classes: The names of the segmenter's classes, the background first.
        images: In the order in which they were segmented.
    """

    classes: list[str]
    images: list[ExportedImage] = field(default_factory=list)

    @property
    def failed(self) -> list[ExportedImage]:
        """Those that could not be segmented."""
        return [image for image in self.images if image.reason]

    def add(self, name: str, image: ImageFile, outcome: Outcome) -> None:
        """Note one more image."""
        file_name = str(PurePosixPath(name).with_name(image.file.name))
        if isinstance(outcome, SegmentedImage):
            has_objects = outcome.objects is not None
            entry = ExportedImage(name, file_name, "", outcome.unlike, has_objects)
        else:
            entry = ExportedImage(name, file_name, str(outcome))
        self.images.append(entry)
