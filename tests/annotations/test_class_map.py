import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.images import CLASSES, random_pixels
from unetflow.annotations.class_map import ClassMap, decode_mask
from unetflow.annotations.raster import SemanticMask, SourceImage
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE

NUCLEI = ClassMap(tuple(CLASSES))
REST = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", None)))
BLACK, RED, GREEN, BLUE = (0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200)
COLOURS = ClassMap(
    (ClassSpec("background", ("#000000",)), ClassSpec("cell", ("#c80000", "#00c800"))),
    ignore=("#0000c8",),
)


def class_map(*values, **others):
    classes = tuple(ClassSpec(f"class {n}", v) for n, v in enumerate(values))
    return ClassMap(classes, **others)


def draw(path, class_map, shape):
    return SemanticMask(SourceImage(path)).draw(shape, class_map, max_pixels=10**4).label


def save_palette(path, indices, *colours):
    image = Image.fromarray(np.array(indices, np.uint8)).convert("P")
    image.putdata([index for row in indices for index in row])
    image.putpalette([part for colour in colours for part in colour])
    image.save(path, optimize=False)
    return path


def test_ignored_label_is_255():
    assert IGNORE == 255


def test_mask_values_become_the_indices_of_their_classes():
    mask = np.array([[7, 300], [-1, 9]], np.int32)
    label = decode_mask(mask, class_map((7, 9), (300,), (-1,)), "m")
    assert label.dtype == np.uint8
    assert label.tolist() == [[0, 1], [2, 0]]


def test_class_without_values_takes_the_rest():
    label = decode_mask(np.array([[0, 1], [2, 65535]], np.uint16), REST, "m")
    assert label.tolist() == [[0, 1], [1, 1]]


def test_rest_may_precede_the_declared_classes():
    assert decode_mask(np.array([[5, 6]], np.uint8), class_map(None, (5,)), "m").tolist() == [
        [1, 0]
    ]


def test_ignored_values_become_255_beside_a_class_of_the_rest():
    mask = np.array([[0, 7, 9, 70_000]], np.int32)
    label = decode_mask(mask, class_map((0,), None, ignore=(7, 70_000)), "m")
    assert label.tolist() == [[0, IGNORE, 1, IGNORE]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_from_the_threshold_on_become_255_and_all_others_0(dtype):
    mask = np.array([[0, 1, 127, 128, 200, 255]], dtype)
    soft = ClassMap(tuple(CLASSES), binarise_at=128)
    assert decode_mask(mask, soft, "m").tolist() == [[0, 0, 0, 1, 1, 1]]


def test_ignored_values_are_removed_before_the_threshold():
    soft = class_map((0,), (255,), ignore=(200,), binarise_at=100)
    assert decode_mask(np.array([[99, 200, 201]], np.uint8), soft, "m").tolist() == [[0, 255, 1]]


@given(
    mask=hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)),
    values=st.lists(st.integers(-300, 300), min_size=3, max_size=8, unique=True),
)
def test_decoding_equals_a_lookup_of_each_pixel(mask, values):
    first, second, ignored = values[::3], values[1::3], values[2::3]
    declared = class_map(tuple(first), tuple(second), None, ignore=tuple(ignored))
    expected = [
        [0 if v in first else 1 if v in second else 255 if v in ignored else 2 for v in row]
        for row in mask.tolist()
    ]
    assert decode_mask(mask, declared, "m").tolist() == expected


@given(mask=hnp.arrays(np.uint32, (3, 4), elements=st.sampled_from([0, 2**16, 2**24, 2**32 - 1])))
def test_numbers_of_32_bits_are_decoded_without_a_table_of_that_length(mask):
    declared = class_map((0, 2**32 - 1), (2**16,), None)
    expected = [[{0: 0, 2**16: 1, 2**24: 2, 2**32 - 1: 0}[v] for v in row] for row in mask.tolist()]
    assert decode_mask(mask, declared, "m").tolist() == expected


def test_undeclared_value_lists_the_shares_and_suggests_the_absent_class():
    mask = np.array([[0, 0, 0, 1]], np.uint8)
    with pytest.raises(InputError) as caught:
        decode_mask(mask, NUCLEI, "masks/1.png")
    assert caught.value.where == "masks/1.png"
    assert "share of pixels by value: 0: 75.0%, 1: 25.0%" in caught.value.problem
    assert "Did you mean 1 -> nucleus?" in caught.value.fix


def test_the_suggestion_works_in_both_directions():
    with pytest.raises(InputError, match=r"Did you mean 255 -> class 1\?"):
        decode_mask(np.array([[0, 255]], np.uint8), class_map((0,), (1,)), "m")


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 255, 3], [1, 2]])
def test_nothing_is_suggested_when_several_answers_are_possible(values):
    with pytest.raises(InputError, match="Write the missing values into `classes`") as caught:
        decode_mask(np.array([values]), NUCLEI, "m")
    assert "Did you mean" not in str(caught.value)


def test_many_values_between_0_and_255_look_like_soft_edges():
    mask = np.array([[0] * 9, [255] * 9, [40, 80, 120, 160, 200, 240, 0, 0, 255]], np.uint8)
    with pytest.raises(InputError, match=r"soft edges: set `ingestion\.masks\.binarise_at: 128`"):
        decode_mask(mask, NUCLEI, "m")


@pytest.mark.parametrize(
    "mask",
    [
        [[0, 0, 0, 0, 0, 0, 9, 8, 7, 6]],
        [[0, 255, 10, 20, 30, 40, 50, 60, 70, 80]],
        [[0, 0, 0, 0, 255, 255, 7, 9]],
    ],
    ids=["255 is missing", "most lies between", "two values between"],
)
def test_few_or_many_classes_are_not_soft_edges(mask):
    with pytest.raises(InputError, match="Write the missing values"):
        decode_mask(np.array(mask, np.uint8), NUCLEI, "m")


def test_histogram_lists_the_eight_most_frequent_values():
    counts = {value: 20 - value for value in range(1, 12)}
    mask = np.repeat(list(counts), list(counts.values()))[np.newaxis]
    with pytest.raises(InputError) as caught:
        decode_mask(mask, class_map((0,)), "m")
    assert "1: 12.3%, 2: 11.7%" in caught.value.problem
    assert " 8: 7.8% and 3 more" in caught.value.problem
    assert "9:" not in caught.value.problem


class TestColours:
    def test_of_an_rgb_file_become_classes(self, tmp_path):
        Image.fromarray(np.array([[BLACK, RED], [GREEN, BLUE]], np.uint8)).save(tmp_path / "a.png")
        assert draw(tmp_path / "a.png", COLOURS, (2, 2)).tolist() == [[0, 1], [1, IGNORE]]

    @pytest.mark.parametrize("ending", ["png", "gif", "bmp"])
    def test_of_a_palette_are_read_where_the_classes_are_colours(self, tmp_path, ending):
        path = save_palette(tmp_path / f"a.{ending}", [[2, 1], [0, 3]], BLUE, RED, BLACK, GREEN)
        assert draw(path, COLOURS, (2, 2)).tolist() == [[0, 1], [IGNORE, 1]]

    @pytest.mark.parametrize("ending", ["png", "gif", "bmp"])
    def test_of_a_palette_do_not_matter_where_the_classes_are_numbers(self, tmp_path, ending):
        path = save_palette(tmp_path / f"a.{ending}", [[2, 1], [0, 3]], BLUE, RED, BLACK, GREEN)
        numbers = class_map((0, 2), (1,), (3,))
        assert draw(path, numbers, (2, 2)).tolist() == [[0, 1], [0, 2]]

    def test_of_a_grey_file_are_greys(self, tmp_path):
        Image.fromarray(np.array([[0, 17]], np.uint8)).save(tmp_path / "a.png")
        greys = class_map(("#000000",), ("#111111",))
        assert draw(tmp_path / "a.png", greys, (1, 2)).tolist() == [[0, 1]]

    def test_are_not_confused_with_one_another(self):
        mask = np.array([[0x010203, 0x030201]], np.uint32)
        declared = class_map(("#030201",), ("#010203",))
        assert decode_mask(mask, declared, "m").tolist() == [[1, 0]]

    def test_that_are_not_declared_are_named_as_colours(self):
        mask = np.array([[0, 0xC80000, 0x0A0B0C]], np.uint32)
        with pytest.raises(InputError) as caught:
            decode_mask(mask, COLOURS, "m")
        assert "#0a0b0c: 33.3%" in caught.value.problem
        assert "Write the missing values into `classes`" in caught.value.fix

    def test_are_suggested_for_the_one_class_that_is_absent(self):
        with pytest.raises(InputError, match=r"Did you mean #0a0b0c -> cell\?"):
            decode_mask(np.array([[0, 0x0A0B0C]], np.uint32), COLOURS, "m")

    def test_of_16_bits_are_refused(self, tmp_path):
        Image.fromarray(random_pixels((3, 4), np.uint16)).save(tmp_path / "a.tif")
        with pytest.raises(InputError, match="`classes` gives colours, but it has 3 channels in u"):
            draw(tmp_path / "a.tif", COLOURS, (3, 4))


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tif"])
def test_one_bit_mask_has_the_values_0_and_255(tmp_path, ending):
    inside = random_pixels((5, 11)) > 127
    Image.fromarray(inside).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(draw(tmp_path / f"a.{ending}", NUCLEI, (5, 11)), inside)


def test_grey_gif_mask_has_its_grey_values(tmp_path):
    mask = np.where(random_pixels((5, 11)) > 127, np.uint8(255), np.uint8(0))
    Image.fromarray(mask).save(tmp_path / "a.gif", optimize=False)
    np.testing.assert_array_equal(draw(tmp_path / "a.gif", NUCLEI, (5, 11)), mask == 255)


def test_soft_edges_of_a_jpeg_are_cut_at_the_threshold(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=90)
    soft = ClassMap(tuple(CLASSES), binarise_at=128)
    np.testing.assert_array_equal(draw(tmp_path / "a.jpg", soft, (32, 32)), mask == 255)


def test_a_name_has_the_index_of_the_class_that_lists_it():
    named = class_map(("sky", "cloud"), ("car",), ignore=("void",))
    assert [named.index_of(n, "m") for n in ("sky", "cloud", "car", "void")] == [0, 0, 1, IGNORE]


def test_a_name_that_no_class_lists_belongs_to_the_rest():
    assert class_map(("sky",), None).index_of("car", "m") == 1
    assert class_map(None, ("sky",)).index_of("sky", "m") == 1


def test_a_name_that_no_class_lists_is_refused_where_there_is_no_rest():
    with pytest.raises(InputError, match="no class declares its objects named 'car'") as caught:
        class_map(("sky",), (0,)).index_of("car", "a.json")
    assert caught.value.where == "a.json"
    assert "Write 'car' into the `values` of a class" in caught.value.fix


def test_all_undeclared_names_are_listed_at_once():
    counts = {"car": 12, "sky": 4, "bus": 1, "void": 2}
    declared = class_map(("sky", "cloud"), (7, "#ff0000"), ignore=("void",))
    with pytest.raises(InputError, match="no class declares its objects named 'bus'; ") as caught:
        declared.index_of("bus", "a.json", counts)
    assert "are not declared: 'bus' (1), 'car' (12); these are: 'sky', 'cloud', 'void'" in str(
        caught.value
    )
    assert caught.value.fix.startswith("Write each of them into the `values` of a class")
    with pytest.raises(InputError, match=r"'car' \(12\); these are: none\. Write 'car' into"):
        class_map((0,), (1,)).index_of("car", "a.json", {"car": 12})


def test_a_number_is_not_a_name():
    with pytest.raises(InputError, match="named '1'"):
        class_map((0,), (1,)).index_of("1", "m")


def test_objects_without_a_name_belong_to_the_second_of_two_classes():
    assert NUCLEI.object_index("m") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_objects_without_a_name_are_refused_for_any_other_number_of_classes(count):
    with pytest.raises(InputError, match=f"have no class, and `classes` lists {count}"):
        class_map(*[(n,) for n in range(count)]).object_index("m")


def test_a_class_map_is_in_colour_when_any_value_is_a_colour():
    assert COLOURS.in_colour
    assert class_map(("#000000",), None).in_colour
    assert class_map((0,), None, ignore=("#ffffff",)).in_colour
    assert not class_map((0,), ("car", 7), None).in_colour
