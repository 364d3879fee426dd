#!/usr/bin/env python3
"""Checks the dashboards in ops/grafana by the types that Grafana publishes of its dashboards.

    scripts/dashboards_schema.py               fails where a file has a field or a word that Grafana lacks
    scripts/dashboards_schema.py --self-test   that it finds such mistakes

The types are those of grafana-foundation-sdk (PyPI), generated of Grafana's schemas; scripts/ops.sh installs
it. A field that they do not know is lost when a file is read and written again, and a word that an enum does
not have is found by the hints of the fields. What they leave open is not checked: options of
transformations and overrides.
"""

import copy
import enum
import json
import pathlib
import sys
import types
import typing

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

DIRECTORY = pathlib.Path(__file__).resolve().parent.parent / "ops" / "grafana"
# Of the data source, which writes its own fields into an annotation.
OF_PROMETHEUS = {("annotations", "titleFormat"), ("annotations", "textFormat")}


def lost(ours, theirs, path=()):
    """Fields of ours that theirs lacks or has otherwise; what theirs adds are defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            at = (*path, key)
            if key in theirs:
                yield from lost(value, theirs[key], at)
            elif (path[:1] + (key,)) not in OF_PROMETHEUS:
                yield f"{'.'.join(map(str, at))}: no such field"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs)):
            yield from lost(one, other, (*path, at))
    elif ours != theirs:
        yield f"{'.'.join(map(str, path))}: {ours!r} is read as {theirs!r}"


def misfits(value, hint, path):
    """Values that are not of the type that the field has."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        found = [list(misfits(value, one, path)) for one in of if one is not type(None)]
        if value is not None and all(found):
            yield from min(found, key=len)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for at, item in enumerate(value):
            yield from misfits(item, of[0], f"{path}.{at}")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for key, item in value.items():
            yield from misfits(item, of[1], f"{path}.{key}")
    elif origin is typing.Literal:
        if value not in of:
            yield f"{path}: {value!r} is none of {of}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{path}: {value!r} is none of {[one.value for one in hint]}"
    elif hint in (str, int, bool, float):
        accepted = (int, float) if hint is float else hint
        if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif type(value).__module__.startswith("grafana_foundation_sdk"):
        # What a field declares may be an interface; what was read has its own type.
        if isinstance(value, dashboard.Panel) and isinstance(value.options, dict):
            yield f"{path}: there is no panel of type {value.type_val!r}"
        hints = typing.get_type_hints(type(value).__init__)
        for name, field in vars(value).items():
            yield from misfits(field, hints.get(name, object), f"{path}.{name}")
    elif isinstance(hint, type) and hint.__module__.startswith("grafana_foundation_sdk.models"):
        # An object that it does not read further is kept as it is.
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no {hint.__name__}"


def mistakes(content):
    try:
        read = dashboard.Dashboard.from_json(content)
    except Exception as error:
        return [f"cannot be read: {error!r}"]
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    return [*lost(content, again), *misfits(read, dashboard.Dashboard, "dashboard")]


def self_test(content):
    def wrong(change):
        changed = copy.deepcopy(content)
        change(changed)
        return mistakes(changed)

    lines = next(at for at, panel in enumerate(content["panels"]) if panel["type"] == "timeseries")
    for change in (
        lambda d: d["panels"][lines].update(type="timeserie"),
        lambda d: d["panels"][lines].update(titel="Calls"),
        lambda d: d["panels"][lines]["options"]["legend"].update(displayMode="grid"),
        lambda d: d["panels"][lines]["options"]["tooltip"].update(sort="down"),
        lambda d: d["panels"][lines]["fieldConfig"]["defaults"].update(min="0"),
        lambda d: d["panels"][lines]["fieldConfig"]["defaults"]["custom"].update(lineWide=2),
        lambda d: d["panels"][lines]["targets"][0].update(format="series"),
        lambda d: d["templating"]["list"][0].update(type="datasources"),
        lambda d: d.update(refresh=15),
        lambda d: d.update(panels={}),
    ):
        if not wrong(change):
            sys.exit("a mistake was not found")


def main():
    plugins.register_default_plugins()
    files = sorted(DIRECTORY.glob("*.json"))
    if sys.argv[1:] == ["--self-test"]:
        return self_test(json.loads(files[0].read_text()))
    if sys.argv[1:] or not files:
        sys.exit(__doc__)
    found = [f"{path.name}: {one}" for path in files for one in mistakes(json.loads(path.read_text()))]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
