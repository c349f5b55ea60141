"""Small networks, and the same random numbers for each test."""

from tests.support.network_fixtures import *  # noqa: F403 - fixtures are found by their names
