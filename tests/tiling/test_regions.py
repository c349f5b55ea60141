import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetflow.tiling.regions import Borders, Region, plan_regions

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 30))


@given(SIZES, st.integers(1, 12), st.integers(0, 9))
def test_regions_cover_each_pixel_once_and_windows_hold_them(size, edge, halo):
    seen = np.zeros(size, int)
    pixels = np.arange(seen.size).reshape(size)
    for region in plan_regions(size, edge):
        seen[region.slices] += 1
        window = region.extend(halo, size)
        part = pixels[window.slices]
        np.testing.assert_array_equal(part[region.within(window)], pixels[region.slices])
        assert max(region.shape) <= edge
        cut = [part[index].ravel() for index in window.cut_edges(size)]
        borders = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
        edges = (part[0], part[-1], part[:, 0], part[:, -1])
        inner = [edge for edge, border in zip(edges, borders, strict=True) if edge[0] not in border]
        assert [one.tolist() for one in cut] == [one.tolist() for one in inner]
    assert (seen == 1).all()


@given(SIZES, st.integers(1, 12), st.sampled_from([1, 2]), st.integers(0, 2**32))
def test_contacts_are_those_of_all_pixels_with_their_neighbours(size, edge, connectivity, seed):
    numbers = np.random.default_rng(seed).integers(0, 4, size)
    region_of = np.zeros(size, int)
    borders, found = Borders(size[1], connectivity), []
    for place, region in enumerate(plan_regions(size, edge)):
        region_of[region.slices] = place
        found += borders.add(region, numbers[region.slices], np.arange(4)).T.tolist()
    steps = [(0, 1), (1, 0)] + ([(1, 1), (1, -1)] if connectivity == 2 else [])
    expected = []
    for row, column in np.ndindex(size):  # slowly: each two neighbours of different regions
        for down, right in steps:
            other = (row + down, column + right)
            if other[0] < size[0] and 0 <= other[1] < size[1]:
                pair = sorted([(row, column), other], key=lambda p: region_of[p])
                if region_of[pair[0]] < region_of[pair[1]] and all(numbers[p] for p in pair):
                    expected.append([int(numbers[p]) for p in pair])
    assert sorted(found) == sorted(expected)


def test_a_region_knows_its_shape():
    assert Region((0, 0), (3, 7), (2, 12)).shape == (4, 10)
