"""Tables of a scenario file: how they are checked, how presets fill them, and the quantities that stand in many of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from lifesim.errors import did_you_mean
from lifesim.scenario.presets import load_preset, preset_names
from lifesim.scenario.units import Quantity

Horizon = Annotated[float, Quantity("s", least="1 s", most="100 y")]
Interval = Annotated[float, Quantity("s", least="1 ms", most="1000 y")]
Span = Annotated[float, Quantity("s", above="0 s", most="1e12 y")]
Delay = Annotated[float, Quantity("s", least="0 s", most="1 y")]
Commissioning = Annotated[float, Quantity("s", least="0 s", most="100 y")]
Rate = Annotated[float, Quantity("bit/s", least="1 bit/s", most="1000 Gbit/s")]
Temperature = Annotated[float, Quantity("C", least="-100 C", most="300 C")]
TemperatureRise = Annotated[float, Quantity("C", least="0 C", most="150 C")]
Activation = Annotated[float, Quantity("eV", least="0 eV", most="5 eV")]
Share = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(ge=0, le=5)]


def mistake(
    problem: str, key: tuple[str, ...] = (), involves: tuple[tuple[str, ...], ...] = ()
) -> PydanticCustomError:
    """Return an error about ``key`` below the table being checked; ``involves``: others that it is due to."""
    return PydanticCustomError("mistake", "{problem}", {"problem": problem, "key": key, "involves": involves})


def _as_tuple(given: Any) -> Any:
    if not isinstance(given, list | tuple):
        raise mistake("must be a list, such as [1, 2]")
    return tuple(given)


_T = TypeVar("_T")
ListOf = Annotated[tuple[_T, ...], BeforeValidator(_as_tuple)]


class Table(BaseModel):
    """A table of the file: unknown keys, conversions between types, NaN and infinity are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class PresetTable(Table):
    """A table that may be written as a preset's name: ``site = "indoor"`` means ``{preset = "indoor"}``."""

    kind_of_preset: ClassVar[str]
    preset: str | None = None
    """Name of the preset that this table started from."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that ``preset`` may have."""
        return preset_names(cls.kind_of_preset)

    @classmethod
    def needed_keys(cls, given: Mapping[str, Any] | None = None) -> list[str]:
        """Return the keys that must be given where no preset is, by a table that gives ``given``."""
        return [key for key, field in cls.model_fields.items() if field.is_required()]

    @classmethod
    def sufficient_keys(cls) -> list[list[str]]:
        """Return sets of keys of which one must be given where no preset is."""
        return [cls.needed_keys()]

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Turn a name into a table, and add the preset's parameters below the keys that are given."""
        key: tuple[str, ...] = ("preset",)
        if isinstance(data, str):
            data, key = {"preset": data}, ()
        if not isinstance(data, dict):
            return data
        name = data.get("preset")
        if name is None:
            if cls.model_fields["preset"].is_required():
                raise mistake(f"is missing; allowed: {', '.join(cls.names())}", ("preset",))
            missing = [needed for needed in cls.needed_keys(data) if needed not in data]
            if missing:
                unknown = [given for given in data if given not in cls.model_fields]
                near = (
                    did_you_mean(unknown[0], cls.model_fields).replace("did", f"for {unknown[0]}, did")
                    if unknown
                    else ""
                )
                raise mistake(f"without preset, all keys must be given; missing: {', '.join(missing)}{near}")
            return data
        if not isinstance(name, str) or name not in cls.names():
            near = did_you_mean(name, cls.names())
            raise mistake(
                f"no such {cls.kind_of_preset} preset; allowed: {', '.join(cls.names())}{near}", key
            )
        return cls.merged(cls.preset_values(name), data)

    @classmethod
    def merged(cls, preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Return a preset's values with those given on top."""
        return {**preset, **given}

    @classmethod
    def preset_values(cls, name: str) -> dict[str, Any]:
        """Return what the preset ``name`` gives to the keys of this table."""
        return load_preset(cls.kind_of_preset, name).values

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer the preset's name as a string, and ask for every key only in a table without preset."""
        reference = handler(schema)
        table = handler.resolve_ref_schema(reference)
        name = {"type": "string", "enum": cls.names()}
        body = dict(table)
        title, description = body.pop("title"), body.pop("description", "")
        body["properties"] = {
            **body["properties"],
            "preset": {**name, "description": f"Preset of kind {cls.kind_of_preset}."},
        }
        body.pop("required", None)
        body["anyOf"] = [{"required": keys} for keys in (["preset"], *cls.sufficient_keys())]
        table.clear()
        table.update({"title": title, "description": description, "anyOf": [name, body]})
        return reference
