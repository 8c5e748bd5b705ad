"""Working ahead: the same items and errors as without a thread, one item ahead and no more, and an end at any time."""

import threading
import time

import pytest

from hepnn.prefetch import prefetched


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "hepnn-prefetch"]


def test_items_come_in_order():
    assert list(prefetched(range(100))) == list(range(100))
    assert list(prefetched([])) == []
    assert not threads()


def test_one_item_is_made_ahead_and_no_more():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    ahead = prefetched(items())
    assert made == []
    for number in range(5):
        assert next(ahead) == number
        time.sleep(0.05)
        assert made == list(range(min(number + 2, 5)))


def test_making_and_using_go_on_at_the_same_time():
    def items():
        for number in range(4):
            time.sleep(0.1)
            yield number

    start = time.perf_counter()
    for _ in prefetched(items()):
        time.sleep(0.1)
    assert time.perf_counter() - start < 0.7  # one after the other it takes 0.8


def test_an_error_is_raised_where_it_would_be_without_the_thread():
    def items():
        yield 1
        raise ValueError("the second is bad")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second is bad"):
        next(ahead)
    assert not threads()


def test_who_stops_early_closes_what_was_read_from():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    ahead = prefetched(items())
    next(ahead)
    ahead.close()
    assert closed.wait(1)
    assert not threads()


def test_who_stops_early_does_not_wait_for_an_item_that_takes_long():
    release = threading.Event()

    def items():
        yield 1
        release.wait(30)

    ahead = prefetched(items())
    next(ahead)
    start = time.perf_counter()
    ahead.close()
    assert time.perf_counter() - start < 5
    release.set()


def test_an_interrupt_in_the_middle_ends_the_thread():
    def use():
        for _ in prefetched(iter(int, 1)):  # without end
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    time.sleep(0.05)
    assert not threads()
