"""What has been announced is looked into once, together."""

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
