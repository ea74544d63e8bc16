"""What users bring of their own, by dotted name: ``package.module:function``, of networks and data sets, or ``package.module:Class``."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from lifesim.errors import UserError, did_you_mean


@functools.cache
def call_dotted(what: str, name: str) -> Any:
    """Return what :func:`find_dotted` finds returns, called without arguments, once per process. Raises UserError if that fails, too."""
    found = find_dotted(what, name)
    if not callable(found):
        raise UserError(f"{what} {name}: must be a function without arguments, not {type(found).__name__}")
    return call_found(what, name, found)


def call_found(what: str, name: str, found: Callable[..., Any], **options: Any) -> Any:
    """Return what ``found`` returns. Raises UserError, naming ``what`` and ``name``, if it raises an error of its own."""
    try:
        return found(**options)
    except Exception as error:
        raise _failed(what, name, "calling", error) from error


def find_dotted(what: str, name: str) -> Any:
    """Import ``package.module`` and return its attribute.

    A module is looked for as Python does, and then in the working directory. Raises UserError, naming ``what`` and ``name``, if there is no
    such module or attribute, or if importing it raises an error of its own.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(
            os.getcwd()
        )  # for good: what is loaded may import more, and other processes take the path over
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            where = "neither installed nor in the working directory"
            raise UserError(f"{what} {name}: no module {error.name!r}: {where}") from error
        raise _failed(what, name, "importing", error) from error
    except Exception as error:
        raise _failed(what, name, "importing", error) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = did_you_mean(
                part, [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
            )
            raise UserError(f"{what} {name}: {module_name} has no {attribute!r}{near}")
        found = getattr(found, part)
    return found


def _failed(what: str, name: str, doing: str, error: Exception) -> UserError:
    return UserError(
        f"{what} {name}: {doing} it fails: {type(error).__name__}: {' '.join(str(error).split())}"
    )
