"""One HTML page that tells people how good a model is, where it errs and what to do next."""

from unetflow.imaging.evaluation_report.charts import draw_scores_over, draw_threshold_curve
from unetflow.imaging.evaluation_report.evaluation import Evaluation, describe_scored
from unetflow.imaging.evaluation_report.model_card import describe_model
from unetflow.imaging.evaluation_report.page import write_evaluation_report

__all__ = [
    "Evaluation",
    "describe_model",
    "describe_scored",
    "draw_scores_over",
    "draw_threshold_curve",
    "write_evaluation_report",
]
