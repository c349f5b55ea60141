import pytest

from unetflow.tracking import retry_queue
from unetflow.tracking.retry_queue import PAUSE, RetryQueue


class Store:
    """Takes records while it is up, and knows how often it was asked."""

    def __init__(self):
        self.up, self.taken, self.asked = True, [], 0

    def take(self, name):
        self.asked += 1
        if not self.up:
            raise OSError("no connection")
        self.taken.append(name)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(retry_queue.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def carry(clock):
    store, way = Store(), RetryQueue()
    return store, way, lambda name: way.submit(name, lambda: store.take(name))


def test_records_arrive_at_once_and_in_order(carry):
    store, way, send = carry
    for name in "abc":
        send(name)
        assert store.taken[-1] == name
    assert way.flush() == []
    assert store.taken == list("abc")


def test_a_store_that_is_down_is_asked_once_a_minute_and_gets_all_when_it_is_back(
    carry, clock, caplog
):
    store, way, send = carry
    store.up = False
    for name in "abc":
        send(name)
    assert store.asked == 1
    clock[0] = PAUSE
    send("d")
    assert store.asked == 2
    store.up = True
    clock[0] = 2 * PAUSE
    with caplog.at_level("INFO"):
        send("e")
    assert sorted(store.taken) == list("abcde")
    assert "4 are sent late" in caplog.text
    assert way.flush() == []


def test_what_is_still_refused_at_the_end_is_lost_and_named_after_a_few_attempts(carry, clock):
    store, way, send = carry
    store.up = False
    for name in "abcde":
        send(name)
    assert sorted(way.flush()) == list("abcde")
    assert store.asked == 1 + 3
    assert way.flush() == []


def test_one_bad_record_does_not_keep_back_the_others(carry, clock):
    store, way, send = carry

    def refuse():
        raise ValueError("no such name")

    way.submit("bad", refuse)
    send("a")
    clock[0] = PAUSE
    send("b")
    clock[0] = 2 * PAUSE
    send("c")
    assert way.flush() == ["bad"]
    assert store.taken == ["a", "b", "c"]
