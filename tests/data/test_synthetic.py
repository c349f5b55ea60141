import numpy as np
import pytest

from unetflow.core.hashing import generator_for
from unetflow.data.synthetic import draw_nuclei, write_synthetic_images
from unetflow.evaluation.scoring import segment_by_otsu
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.metrics.pixels import count_confusion


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_images_are_written_as_pairs_of_16_bit_tiff_files(tmp_path):
    write_synthetic_images(tmp_path, count=3, size=64, seed=1)
    assert sorted(content(tmp_path)) == [
        f"{kind}/nuclei_00{number}.tif" for kind in ("images", "masks") for number in range(3)
    ]
    image = read_image(tmp_path / "images/nuclei_000.tif")
    mask = read_mask(tmp_path / "masks/nuclei_000.tif")
    assert (image.shape, image.dtype) == ((64, 64, 1), np.uint16)
    assert (mask.shape, mask.dtype) == ((64, 64), np.uint16)


def test_images_depend_only_on_the_seed(tmp_path):
    for folder, seed, count in (("a", 1, 2), ("b", 1, 3), ("c", 2, 2)):
        write_synthetic_images(tmp_path / folder, count, size=48, seed=seed)
    first, longer, other = (content(tmp_path / folder) for folder in "abc")
    assert first.items() <= longer.items()
    assert all(first[name] != other[name] for name in first)
    assert len(set(longer.values())) == 6


def test_existing_files_are_kept(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "nuclei_001.tif").write_bytes(b"mine")
    write_synthetic_images(tmp_path, count=3, size=48, seed=1)
    written = content(tmp_path)
    assert len(written) == 6
    assert [name for name, data in written.items() if data == b"mine"] == [
        name for name in written if "001" in name
    ]


def test_killed_run_is_completed(tmp_path):
    write_synthetic_images(tmp_path, count=2, size=48, seed=1)
    whole = content(tmp_path)
    (tmp_path / "images" / "nuclei_001.tif").unlink()
    write_synthetic_images(tmp_path, count=2, size=48, seed=1)
    assert content(tmp_path) == whole


def test_mask_is_written_before_its_image(tmp_path):
    (tmp_path / "masks").write_bytes(b"in the way")
    with pytest.raises(OSError, match="masks"):
        write_synthetic_images(tmp_path, count=1, size=32, seed=1)
    assert not (tmp_path / "images").exists()


@pytest.fixture(scope="module")
def drawn():
    return [draw_nuclei(256, generator_for("demo", 0, number)) for number in range(12)]


def test_instances_are_numbered_from_1_with_few_numbers_hidden(drawn):
    for demo in drawn:
        numbers = np.unique(demo.instances)
        assert numbers[0] == 0
        assert 4 <= numbers[-1] <= 1.5 * (len(numbers) - 1)
        assert 0.02 < np.mean(demo.instances > 0) < 0.7


def test_nuclei_are_brighter_than_the_background_around_them(drawn):
    for demo in drawn:
        inside, outside = demo.image[demo.instances > 0], demo.image[demo.instances == 0]
        assert np.mean(inside) > np.mean(outside) + 3 * np.std(outside) / np.sqrt(outside.size)


def test_grey_values_use_more_than_8_bits_without_saturation(drawn):
    for demo in drawn:
        assert demo.image.dtype == demo.instances.dtype == np.uint16
        assert demo.image.max() < 65535
    assert max(int(demo.image.max()) for demo in drawn) > 2000


def test_threshold_does_not_segment_the_images(drawn):
    dice = [
        count_confusion(
            (demo.instances > 0).astype(np.uint8),
            segment_by_otsu(demo.image[:, :, np.newaxis], bright=True),
        ).dice
        for demo in drawn
    ]
    assert np.mean(dice) < 0.85


@pytest.mark.parametrize("size", [1, 16, 33])
def test_any_size_can_be_drawn(size):
    for number in range(5):
        demo = draw_nuclei(size, generator_for(number))
        assert demo.image.shape == demo.instances.shape == (size, size)
