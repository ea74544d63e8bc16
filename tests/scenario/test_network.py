"""The network's table: formats, data sets, a user's own."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from lifesim.errors import UserError
from lifesim.scenario.load import load_network, load_scenario
from lifesim.scenario.network import DataSource, Network, fraction_bits
from lifesim.scenario.presets import load_preset, preset_names

MODULE = "mypkg.nets:make"


def refused(**keys):
    with pytest.raises(ValidationError) as caught:
        Network.model_validate(keys)
    (error,) = caught.value.errors()
    assert error["type"] == "mistake"
    return error["msg"]


@pytest.mark.parametrize(("name", "bits"), [("Q0.15", 15), ("Q3.12", 12), ("Q-2.17", 17), ("Q16.-1", -1)])
def test_formats_have_names(name, bits):
    assert fraction_bits(name) == bits
    assert Network(preset="mlp", format=name).format == name


@pytest.mark.parametrize(
    "given",
    ["Q1.15", "Q0.14", "q0.15", "Q.15", "globl", "", 15, {}, {"fc1": "global"}, {"fc1": 3}, "Q-26.41"],
)
def test_what_is_no_format_is_refused(given):
    assert '"Q1.14"' in refused(preset="mlp", format=given)


def test_a_table_of_formats_names_layers_that_there_are():
    assert Network(preset="mlp", format={"fc2": "Q1.14"}).format == {"fc2": "Q1.14"}
    assert "did you mean 'fc2'" in refused(preset="mlp", format={"fc2_": "Q1.14"})


def test_a_preset_brings_its_training_and_every_key_of_it_can_be_changed():
    values = load_preset("network", "lenet").values
    lenet, longer = Network(preset="lenet"), Network(preset="lenet", epochs=9)
    assert (lenet.epochs, lenet.learning_rate, lenet.fgsm_epsilon) == (
        values["epochs"], values["learning_rate"], values["fgsm_epsilon"],
    )  # fmt: skip
    assert longer == lenet.model_copy(update={"epochs": 9})


@pytest.mark.parametrize("name", preset_names("network"))
def test_a_preset_gives_nothing_that_the_table_does_not_know(name):
    assert set(load_preset("network", name).values) - set(Network.model_fields) == {"input_shape", "layers"}


def test_a_network_is_a_preset_or_a_module():
    own = Network(module=MODULE, dataset="mypkg.data:load")
    assert own.name == MODULE and own.layer_names() is None and own.data == DataSource("mypkg.data:load")
    assert "allowed: mlp" in refused(dataset="mnist5k")
    assert "beside preset" in refused(preset="mlp", module=MODULE)
    assert "only a module" in refused(preset="mlp", pretrained=True)


@pytest.mark.parametrize("name", ["mypkg", "mypkg.nets", "mypkg:make()", ":make", "my-pkg:make", 3])
def test_a_dotted_name_has_a_module_and_an_attribute(name):
    assert "package.module:function" in refused(module=name)


@pytest.mark.parametrize(
    ("name", "near"), [("mnist5", "mnist5k"), ("cifar-10", "cifar10"), ("mnits", "mnist")]
)
def test_an_unknown_data_set_is_answered_with_the_nearest(name, near):
    assert f"did you mean {near!r}" in refused(preset="mlp", dataset=name)


def test_pictures_must_have_the_shape_that_the_preset_takes():
    assert refused(preset="lenet", dataset="cifar10") == (
        "its pictures are 3 x 32 x 32, lenet takes 1 x 28 x 28; allowed: mnist5k, mnist"
    )


def test_only_files_lie_in_a_directory_and_it_is_there(tmp_path):
    place = str(tmp_path)
    assert Network(preset="mlp", dataset="mnist", data_dir=place).data == DataSource("mnist", place)
    for dataset in ("mypkg.data:load", "mnist5k"):
        assert "from a directory" in refused(preset="mlp", dataset=dataset, data_dir=place)
    assert refused(preset="mlp", dataset="mnist", data_dir=f"{place}/no") == f"no such directory: {place}/no"


def test_each_layer_has_a_share_of_ones():
    assert Network(preset="mlp", input_ones_share=[0.1, 0.2, 0.3]).input_ones_share == [0.1, 0.2, 0.3]
    assert refused(preset="mlp", input_ones_share=[0.1]) == (
        "must be 3 shares, one for each layer (fc1, fc2, fc3), or none"
    )
    own = Network(module=MODULE, input_ones_share=[0.1])
    assert [key for key, _ in own.misfits(["fc1", "fc2"])] == [("input_ones_share",)]
    assert not list(own.misfits(["fc1"]))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"input_mean": 3}, "input_mean = 3: must be a list, each a number"),
        ({"pretrained": 1}, "pretrained = 1: must be true or false"),
        ({"epochs": 0}, "epochs = 0: must be a whole number from 1 up to 10000"),
        ({"data_dir": 3}, "data_dir = 3: must be text"),
        ({"learning_rate": 0}, "learning_rate = 0: must be a number above 0"),
    ],
)
def test_a_table_from_a_command_line_is_answered_in_one_line(keys, says):
    with pytest.raises(UserError, match=says) as caught:
        load_network({"preset": "mlp", **keys})
    assert "\n" not in str(caught.value)


def test_data_lie_beside_the_scenario_or_where_an_absolute_path_says(tmp_path):
    (tmp_path / "s.toml").write_text(
        """
horizon_s = "1 y"
[group.a]
count = 1
network = { preset = "mlp", dataset = "mnist", data_dir = "data" }
technology = "rated_1e4"
site = "indoor"
schedule = { kind = "never" }
[group.b]
count = 1
network = { preset = "mlp", dataset = "mnist", data_dir = "ELSEWHERE" }
technology = "rated_1e4"
site = "indoor"
schedule = { kind = "never" }
""".replace("ELSEWHERE", (tmp_path / "elsewhere").as_posix())
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    groups = load_scenario(tmp_path / "s.toml").group
    assert [g.network.data_dir for g in groups.values()] == [
        str(tmp_path / "data"),
        str(tmp_path / "elsewhere"),
    ]


def test_a_scenario_with_a_users_module_is_checked_without_importing_it(tmp_path):
    """Its layers are not known yet; torch is not needed to say what else is wrong."""
    (tmp_path / "s.toml").write_text("""
horizon_s = "1 y"
[group.a]
count = 1
network = { module = "nobody.has:this", dataset = "nor:that" }
technology = "rated_1e4"
site = "indoor"
schedule = { kind = "never" }
workload = { reloads_per_day = { head = 3 } }
""")
    code = (
        "import sys, lifesim.scenario.load as load\n"
        f"print(load.load_scenario({str(tmp_path / 's.toml')!r}).group['a'].network.name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "nobody.has:this\n")
