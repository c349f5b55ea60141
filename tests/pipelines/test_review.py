from pathlib import Path

import pandas as pd
import pytest
import yaml

from unetflow.config.base import read_parameters
from unetflow.config.evaluation import EvaluationParameters, UncertaintyParameters
from unetflow.core.errors import InputError
from unetflow.pipelines.evaluation_review import map_uncertainty, rank_for_review

ROOT = Path(__file__).parent.parent.parent
PARAMETERS = yaml.safe_load((ROOT / "conf/base/parameters_evaluation.yml").read_text())[
    "evaluation"
]
SCORES = pd.DataFrame({"id": ["a", "b"], "dice": [0.9, 0.8]})


@pytest.mark.parametrize(
    ("section", "value", "text"),
    [
        ("uncertainty", {"views": 1}, "one view cannot differ from itself"),
        ("uncertainty", {"views": 9}, "less than or equal to 8"),
        ("max_lost_objects", 0.02, "less than or equal to 0.01"),
        ("max_lost_objects", -0.01, "greater than or equal to 0"),
        ("calibration", {"pixels": 0, "bins": 15}, "greater than or equal to 1"),
        ("suspicious_labels", {"z_score": 0.0}, "greater than 0"),
    ],
)
def test_wrong_parameters_are_named(section, value, text):
    with pytest.raises(InputError, match=text) as caught:
        read_parameters(EvaluationParameters, {**PARAMETERS, section: value}, "evaluation")
    assert caught.value.where.startswith(f"evaluation.{section}")


def test_without_views_no_image_is_predicted_and_the_tables_are_empty():
    off = EvaluationParameters(uncertainty=UncertaintyParameters(views=0))
    nothing = pd.DataFrame()
    ((maps, table),) = map_uncertainty(None, {}, nothing, off)
    assert maps == {}
    review, check = rank_for_review(table, SCORES, off)
    assert review.columns.tolist() == ["id", "expected_error", "disagreement", "error"]
    assert len(review) == 0
    assert (check["images"], check["views"], check["spearman"]) == (0, 0, None)
