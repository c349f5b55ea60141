import numpy as np
import pytest
import zarr
from kedro.io import DatasetError
from PIL import Image

from unetflow.datasets.image_files import ImageFolderDataset
from unetflow.datasets.label_files import (
    LabelFileDataset,
    LargeResultsDataset,
    ProbabilityFileDataset,
)
from unetflow.datasets.objects import CocoFileDataset
from unetflow.datasets.partitions import PartitionsDataset
from unetflow.io.pixel_size import PixelSize

SIZE = PixelSize(0.25, 0.5)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("size", [None, SIZE])
def test_labels_and_probabilities_come_back_with_the_size_of_a_pixel(tmp_path, name, size):
    for kind, pixels in (
        (LabelFileDataset, np.arange(300, dtype=np.uint16).reshape(15, 20)),
        (ProbabilityFileDataset, np.linspace(0, 1, 60, dtype=np.float32).reshape(4, 5, 3)),
    ):
        dataset = kind(filepath=str(tmp_path / kind.__name__ / name))
        assert not dataset.exists()
        dataset.save((pixels, size))
        assert dataset.exists()
        found, found_size = dataset.load()
        np.testing.assert_array_equal(found, pixels, strict=True)
        assert found_size == size


def test_there_may_be_no_partitions(tmp_path):
    dataset = PartitionsDataset(
        path=str(tmp_path / "labels"),
        dataset="unetflow.datasets.LabelFileDataset",
        filename_suffix=".tif",
    )
    assert dataset.load() == {}
    dataset.save({"deep/a": (np.ones((2, 3), np.uint8), SIZE)})
    ((name, read),) = dataset.load().items()
    assert (name, read()[1]) == ("deep/a", SIZE)


def test_what_is_only_written_or_only_asked_for_refuses_the_rest(tmp_path):
    large = LargeResultsDataset(labels=str(tmp_path / "a"), probabilities=str(tmp_path / "b"))
    assert large.exists()
    assert large.load().label_of("x") == tmp_path / "a/x.tif"
    with pytest.raises(DatasetError, match="only an input"):
        large.save({})
    coco = CocoFileDataset(filepath=str(tmp_path / "coco.json"))
    assert not coco.exists()
    with pytest.raises(DatasetError, match="only written"):
        coco.load()


def test_a_zarr_folder_among_images_is_one_image(tmp_path):
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    for name in ("deep/a.zarr", "b.zarr"):
        zarr.create_array(str(tmp_path / name), data=pixels, chunks=(4, 4))
    Image.fromarray(pixels).save(tmp_path / "deep/a.zarr/preview.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    images = ImageFolderDataset(path=str(tmp_path)).load()
    assert list(images) == ["b.png", "b.zarr", "deep/a"]
    for name in ("b.zarr", "deep/a"):
        with images[name].open(1) as opened:
            np.testing.assert_array_equal(opened.read((0, 10), (0, 10))[:, :, 0], pixels)
    assert list(ImageFolderDataset(path=str(tmp_path / "b.zarr")).load()) == ["b"]
