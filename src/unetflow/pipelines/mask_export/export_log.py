"""Log of an export: the outcome of each image."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from unetflow.inference.segment import Outcome, SegmentedImage
from unetflow.io.image_file import ImageFile


@dataclass(frozen=True)
class ExportedImage:
    """Outcome of one image.

    Attributes:
        name: Name of the image.
        file_name: Its file, with the folders of its name.
        reason: Why it could not be segmented; empty if it was.
        unlike: How it differs from the training images; empty if it does not.
        has_objects: Whether its objects were separated.
    """

    name: str
    file_name: str
    reason: str = ""
    unlike: str = ""
    has_objects: bool = False


@dataclass
class ExportLog:
    """Outcomes of all images so far.

    Attributes:
        classes: Names of the segmenter's classes, the background first.
        images: In the order of segmentation.
    """

    classes: list[str]
    images: list[ExportedImage] = field(default_factory=list)

    @property
    def failed(self) -> list[ExportedImage]:
        """The images that could not be segmented."""
        return [image for image in self.images if image.reason]

    def add(self, name: str, image: ImageFile, outcome: Outcome) -> None:
        """Add the outcome of an image."""
        file_name = str(PurePosixPath(name).with_name(image.file.name))
        if isinstance(outcome, SegmentedImage):
            has_objects = outcome.objects is not None
            entry = ExportedImage(name, file_name, "", outcome.unlike, has_objects)
        else:
            entry = ExportedImage(name, file_name, str(outcome))
        self.images.append(entry)
