"""What write-verify names at a reload, against writing and reading every cell of simulated arrays one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Defect, Wear
from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import Retention
from lifesim.crossbar.verify import WriteVerify
from lifesim.fleet.silicon import Region, Silicon
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.model import Model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
ARCHITECTURE = Architecture("small", (1, 2, 2), (Dense("fc1", 6), Relu(), Dense("fc2", 2)))
NEW = Programmed(0, 0, 1)


class Clock:
    def at(self, time_s):
        return time_s

    def at_many(self, times_s):
        return times_s


def make_silicon(model, encoding, key, scale, periods, pulses, shared):
    wear = Wear(Weibull(scale, 2.0), 0.6, between_share=0.3 if encoding.top_level > 1 else 0.0)
    retention = Retention(Lognormal(3.0 * S_PER_DAY, 1.0), 0.5, 0, Clock())
    broken = Defect(40 * DAY_NS + 1, np.array([5, 6], np.int32), np.array([0, encoding.top_level], np.uint8))
    cells = [encoding.cells_per_weight * codes.size for codes in model.codes]
    if shared:  # the second layer lies in the first cells of the first one's
        cells, periods = [cells[1], cells[0] - cells[1]], (periods[0], periods[0])
    banks = tuple(
        Bank(
            stream_key(key, i), n, wear, [retention], period, layers=2 if shared and i == 0 else 1,
            top_level=encoding.top_level, defects=[broken], write=WriteVerify(*pulses),
        )
        for i, (n, period) in enumerate(zip(cells, periods, strict=True))
    )  # fmt: skip
    if shared:
        return Silicon(banks, ((Region(0, 0), Region(1, cells[0])), (Region(0, 0),)), encoding)
    return Silicon.of_layers(banks, encoding)


def by_writing_cell_by_cell(silicon, model, time_ns):
    """Reload every bank at its last reload: write each layer that passes through it, and read every cell after writing it."""
    named = {}
    for number, bank in enumerate(silicon.banks):
        if bank.reload_period_ns is None:
            continue
        reload_ns = time_ns // bank.reload_period_ns * bank.reload_period_ns
        now = bank.at(NEW, reload_ns)
        cells, levels = bank.stuck_at(now, reload_ns)
        stuck = dict(zip(cells.tolist(), levels.tolist(), strict=True))
        not_taken = set(bank.unwritten(now).tolist()) - set(stuck)
        for layer, regions in enumerate(silicon.regions):
            for region in (r for r in regions if r.bank == number):
                wanted = silicon.encoding.levels(model.codes[layer]).reshape(-1)[region.first_cell :][
                    : bank.n_cells
                ]
                array = CellArray.with_stuck_cells(np.zeros(bank.n_cells, np.uint8), stuck, bank.top_level)
                for cell, level in enumerate(wanted.tolist()):
                    if cell not in not_taken:
                        array.write(cell, level)
                    if array.read(cell) != level:
                        named[number, cell] = stuck.get(cell, 0)
    # A cell that is named belongs to every layer that passes through it.
    layers = []
    for regions in silicon.regions:
        of_layer = {
            cell + region.first_cell: level
            for region in regions
            for (number, cell), level in named.items()
            if number == region.bank
        }
        layers.append(of_layer)
    return layers


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([Encoding(1), Encoding(1, True), Encoding(2, True)]),
    st.integers(0, 2**32),
    st.sampled_from([5.0, 60.0, 1e9]),
    st.tuples(*[st.sampled_from([None, DAY_NS // 3, DAY_NS, 17 * DAY_NS])] * 2),
    st.sampled_from([(1.0, 1), (2.0, 3)]),
    st.booleans(),
    st.integers(0, 90 * DAY_NS),
)
def test_it_names_what_writing_and_reading_every_cell_names(
    encoding, key, scale, periods, pulses, shared, time_ns
):
    if shared and periods[0] is None:
        periods = (DAY_NS, DAY_NS)
    rng = np.random.default_rng(key)
    model = Model.quantised(
        ARCHITECTURE, [rng.uniform(-1, 1, (4, 6)), rng.uniform(-1, 1, (6, 2))], [np.zeros(6), np.zeros(2)]
    )
    silicon = make_silicon(model, encoding, key, scale, periods, pulses, shared)
    found = silicon.named_by_reload(model, (NEW, NEW), time_ns)
    got = [
        dict(zip(c.tolist(), v.tolist(), strict=True)) for c, v in zip(found.cells, found.values, strict=True)
    ]
    assert got == by_writing_cell_by_cell(silicon, model, time_ns)
