"""Hypothesis for a busy machine: the same examples each time, and no clock."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unetflow",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unetflow")
