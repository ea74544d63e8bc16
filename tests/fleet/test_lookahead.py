"""What has been announced is looked into once, together."""

import functools
from concurrent.futures import Executor, Future

from lifesim.fleet import lookahead as module
from lifesim.fleet.lookahead import Lookahead


def test_each_window_is_looked_into_once_when_one_is_needed(monkeypatch):
    prepared, calls = [], []

    def prepare(times_ns):
        prepared.append(tuple(times_ns))
        return times_ns

    def look_into(windows):
        calls.append(len(windows))
        return [[t % 3 == 0 for t in times_ns] for times_ns in windows]

    monkeypatch.setattr(module, "look_into", look_into)
    monkeypatch.setattr(module, "_AT_A_TIME", 16)
    lookahead = Lookahead()
    announced = [lookahead.announce(prepare, range(n, n + 5)) for n in range(40)]
    announced[7].withdraw()
    assert not prepared
    assert announced[39].result() == [True, False, False, True, False]
    expected = [tuple(range(n, n + 5)) for n in range(40) if n != 7]
    assert prepared == expected and calls == [16, 16, 7]
    for n, announcement in enumerate(announced):
        if n != 7:
            assert announcement.result() == [t % 3 == 0 for t in range(n, n + 5)]
    assert prepared == expected


class Idle(Executor):
    """Begins nothing before somebody waits."""

    def __init__(self):
        self.submitted = []

    def submit(self, fn, /, *args):
        future = Future()
        self.submitted.append(len(args[0]))
        future.result = functools.partial(fn, *args)
        return future


def test_others_begin_as_soon_as_there_are_enough(monkeypatch):
    monkeypatch.setattr(module, "look_into", lambda windows: [[t % 3 == 0 for t in w] for w in windows])
    monkeypatch.setattr(module, "_AT_A_TIME", 16)
    executor = Idle()
    lookahead = Lookahead(executor)
    announced = [lookahead.announce(list, range(n, n + 5)) for n in range(40)]
    assert executor.submitted == [16, 16]
    assert announced[20].result() == [t % 3 == 0 for t in range(20, 25)] and executor.submitted == [16, 16]
    assert announced[39].result() == [t % 3 == 0 for t in range(39, 44)] and executor.submitted == [16, 16, 8]
