"""Presets: every number with unit, standing and source; every preset fits the model that it fills."""

from __future__ import annotations

import pytest

from lifesim.errors import UserError
from lifesim.scenario.link import Link
from lifesim.scenario.network import Network
from lifesim.scenario.presets import STANDINGS, load_preset, preset_kinds, preset_names
from lifesim.scenario.site import Site
from lifesim.scenario.table import PresetTable
from lifesim.scenario.technology import Technology

ALL = [(kind, name) for kind in preset_kinds() for name in preset_names(kind)]
MODELS: dict[str, type[PresetTable]] = {"technology": Technology, "site": Site, "link": Link}


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_number_has_unit_standing_and_source(kind: str, name: str) -> None:
    preset = load_preset(kind, name)
    assert preset.summary
    assert preset.parameters
    for key, parameter in preset.parameters.items():
        assert parameter.unit, key
        assert parameter.standing in STANDINGS, key
        assert len(parameter.source) >= 8, key
        assert "PHYSICS" not in parameter.source, f"{key}: users do not have that page"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in ALL if kind in MODELS])
def test_a_preset_gives_every_key_that_its_model_needs_and_none_that_it_does_not_have(
    kind: str, name: str
) -> None:
    model, given = MODELS[kind], load_preset(kind, name).values
    assert set(model.needed_keys(given)) <= set(given) <= set(model.model_fields)
    assert model.model_validate(name).preset == name


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in ALL if kind in MODELS])
def test_the_unit_is_the_one_that_the_key_ends_with(kind: str, name: str) -> None:
    units = {"s": "s", "bps": "bit/s", "c": "C", "ev": "eV"}
    for key, parameter in load_preset(kind, name).parameters.items():
        if (ending := key.rsplit("_", 1)[-1]) in units:
            assert parameter.unit == units[ending]


def test_every_link_says_what_its_bytes_cost() -> None:
    for name in preset_names("link"):
        assert {"uplink_j_per_byte", "downlink_j_per_byte", "wakeup_j"} <= load_preset(
            "link", name
        ).parameters.keys()
    assert len(preset_names("link")) >= 6


@pytest.mark.parametrize(
    ("name", "symbol_s", "bits"),
    [("lorawan_sf7", 2**7 / 125e3, 4 * 7), ("lorawan_sf12", 2**12 / 125e3, 4 * 10)],
)
def test_a_lorawan_frame_takes_its_time_on_air(name: str, symbol_s: float, bits: int) -> None:
    """Semtech SX1276 data sheet, 4.1.1.7: preamble of 8 + 4.25 symbols, 8 and ceil((8 PL - 4 SF + 44) / bits) x 5 symbols at coding 4/5."""
    link, factor = Link.model_validate(name), {"lorawan_sf7": 7, "lorawan_sf12": 12}[name]
    payload = link.frame_bytes + 13
    symbols = 12.25 + 8 + 5 * -(-(8 * payload - 4 * factor + 44) // bits)
    on_air_s = 8 * (link.frame_bytes + link.frame_overhead_bytes) / link.uplink_bps
    assert on_air_s == pytest.approx(symbols * symbol_s, rel=0.005)


def test_six_technologies_sites_and_links() -> None:
    assert all(len(preset_names(kind)) >= 6 for kind in MODELS)


@pytest.mark.parametrize("name", preset_names("network"))
def test_networks_have_named_layers(name: str) -> None:
    assert len(Network.model_validate(name).layer_names()) >= 2


def test_unknown_kinds_and_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'site'\?"):
        preset_names("sites")
    with pytest.raises(UserError, match=r"did you mean 'indoor'\?"):
        load_preset("site", "indor")


def test_rated_technologies_keep_their_rating() -> None:
    """The scale must put 1 ppm of the cells at 1e4 cycles: F(n) = 1 - exp(-(n/scale)^shape)."""
    rated = Technology.model_validate("rated_1e4")
    assert (1e4 / rated.endurance_scale_cycles) ** rated.endurance_shape == pytest.approx(1e-6, rel=1e-9)
    # Lognormal: 1 ppm is 4.7534 sigma below the median.
    mature = Technology.model_validate("mature_28nm")
    ten_years_s = 10 * 365 * 86_400
    assert mature.retention_median_s == pytest.approx(ten_years_s * 2.718281828**4.7534, rel=0.01)
