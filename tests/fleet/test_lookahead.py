"""What has been announced is looked into once, together, by however many threads."""

import threading

import numpy as np
import pytest

from lifesim.fleet.lookahead import Lookahead


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_window_is_looked_into_once_when_one_is_needed(threads):
    asked, callers = [], set()

    def look_into(times_ns):
        callers.add(threading.current_thread())
        asked.append(tuple(times_ns))
        return lambda: np.array([t % 3 == 0 for t in times_ns])

    with Lookahead(threads) as lookahead:
        announced = [lookahead.announce(look_into, range(n, n + 5)) for n in range(40)]
        announced[7].withdraw()
        assert not asked
        assert announced[39].result() == [True, False, False, True, False]
        expected = [tuple(range(n, n + 5)) for n in range(40) if n != 7]
        assert asked == expected
        for n, announcement in enumerate(announced):
            if n != 7:
                assert announcement.result() == [t % 3 == 0 for t in range(n, n + 5)]
        assert asked == expected
    assert callers == {threading.current_thread()}


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_who_asks(threads):
    def look_into(times_ns):
        def find_out():
            raise FloatingPointError("bad luck")

        return find_out

    with Lookahead(threads) as lookahead, pytest.raises(FloatingPointError, match="bad luck"):
        lookahead.announce(look_into, [1]).result()
