"""Table III against the count behind it: a March test's writes and reads over a picture's multiplications."""

import pytest

from lifesim.network.architecture import load_architecture
from lifesim.paper.tables import speed_up


def rows(variant, pictures=1):
    return {
        r["network"]: r["ours"] for r in speed_up() if r["variant"] == variant and r["pictures"] == pictures
    }


@pytest.mark.parametrize("name", ["mlp", "lenet", "convnet_quick"])
def test_the_papers_table_is_a_count(name):
    network = load_architecture(name)
    # ISAAC: 16 bits x 100 ns for 128 x 128 cells of 2 bits; 5 writes of 20 ns and 5 reads of 100 ns / 128 for each of 8 cells a weight.
    per_mac, per_weight = 16 * 100 / (128 * 128 / 8), 8 * 5 * (20 + 100 / 128)
    expected = per_weight * network.weights / (per_mac * network.macs)
    assert rows("as the paper")[name] == pytest.approx(expected, rel=1e-4)
    assert rows("more pictures", 4)[name] == pytest.approx(expected / 4, rel=1e-4)
    restore = 8 * 8 * (20 + 100 / 128)
    in_rows = 8 * 5 * (20 + 100) / 128
    assert rows("with restore")[name] == pytest.approx(expected * (1 + restore / per_weight), rel=1e-4)
    assert rows("row-parallel writes")[name] == pytest.approx(expected * in_rows / per_weight, rel=1e-4)


def test_numbers_of_the_paper_within_what_it_rounds_to():
    ours = rows("as the paper")
    assert ours["mlp"] == pytest.approx(1062, rel=0.015)
    assert ours["lenet"] == pytest.approx(202, rel=0.015)
    assert 12.5 <= ours["convnet_quick"] < 13.5
