"""Keys of streams: the first replication draws what was drawn before there were any, the others something else."""

from pathlib import Path

import pytest

from lifesim.fleet.environment import commissioned_ns
from lifesim.fleet.keys import Draw, cloud_key, device_key, draw_of, group_key
from lifesim.scenario.load import load_scenario
from lifesim.streams import stream_key

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"


def test_the_first_replication_has_the_keys_of_before():
    assert device_key(Draw(5), "cameras", 3, "spread") == stream_key(5, 0, "cameras", 3, 0, "spread")
    assert device_key(Draw(5), "g", 3, "bank", "fc1", generation=2) == stream_key(
        5, 0, "g", 3, 2, "bank", "fc1"
    )
    assert group_key(Draw(5), "cameras", "heat spells") == stream_key(5, 0, "cameras", "all", "heat spells")
    assert cloud_key(Draw(5), "cloud outages") == stream_key(5, "cloud outages")


@pytest.mark.parametrize(
    "key",
    [lambda d: device_key(d, "g", 0, "x"), lambda d: group_key(d, "g", "x"), lambda d: cloud_key(d, "x")],
)
def test_every_draw_is_another(key):
    draws = [Draw(seed, replication) for seed in range(3) for replication in range(3)]
    assert len({key(draw) for draw in draws}) == len(draws)


def test_a_seed_alone_names_no_draw():
    with pytest.raises((TypeError, AttributeError)):
        device_key(5, "cameras", 3)


def test_a_scenario_says_which():
    base = load_scenario(QUICKSTART, ["group.cameras.commissioning_s=1 y"])
    other = load_scenario(QUICKSTART, ["group.cameras.commissioning_s=1 y", "replication=4"])
    assert (draw_of(base), draw_of(other)) == (Draw(1, 0), Draw(1, 4))
    times = [
        [commissioned_ns(s.group["cameras"], s, "cameras", slot) for slot in range(5)] for s in (base, other)
    ]
    assert not set(times[0]) & set(times[1])
