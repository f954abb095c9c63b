"""Region of the training data: points outside are recognised, by one feature or by a combination of features."""

import numpy as np
import pytest

from adaptwin.surrogate.region import Region, clip_to

generator = np.random.default_rng(0)
along = generator.normal(size=20_000)
ROWS = np.column_stack([along, along + 0.1 * generator.normal(size=20_000), generator.uniform(0, 1, 20_000)])
REGION = Region.around(ROWS, ("x", "y", "z"))


def inside(*row):
    return bool(clip_to(REGION.arrays(), np.array([row], dtype=np.float64))[1][0])


def test_nearly_all_of_the_training_data_is_inside():
    assert clip_to(REGION.arrays(), ROWS)[1].mean() > 0.99


@pytest.mark.parametrize(("row", "expected"), [((0, 0, 0.5), True), ((9, 9, 0.5), False), ((0, 0, 2), False)])
def test_a_feature_beyond_its_range_is_outside(row, expected):
    assert inside(*row) is expected


def test_a_new_combination_is_outside_though_each_feature_is_within_its_range():
    assert inside(1.0, 1.0, 0.5)
    assert not inside(1.0, -1.0, 0.5)


def test_what_is_outside_is_clipped_to_the_box():
    clipped, _ = clip_to(REGION.arrays(), np.array([[1e9, 0.0, -1e9]]))
    assert clipped[0].tolist() == [REGION.high[0], 0.0, REGION.low[2]]


def test_a_region_reads_back_as_it_was_written(tmp_path):
    REGION.write(tmp_path / "region.yaml")
    assert Region.read(tmp_path / "region.yaml") == REGION
