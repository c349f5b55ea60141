"""One HTML page that tells people what the ingestion made of their folder."""

from unetflow.imaging.data_report.page import write_data_report
from unetflow.imaging.data_report.renewal import renew_data_report

__all__ = ["renew_data_report", "write_data_report"]
