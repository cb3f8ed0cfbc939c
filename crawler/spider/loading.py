"""Where spiders come from: a file that the user names, or what is installed beside us."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from crawler.definition import Definition, from_data
from crawler.definition.checks import suggestion
from crawler.errors import InvalidInput, Misconfigured
from crawler.spider.blame import blamed, users_traceback
from crawler.spider.spider import Spider

GROUP: Final = "crawler.spiders"  # of entry points: a name, and the class
# What masters, the store and delivery read, who do not know the spider.
_ELSEWHERE: Final = frozenset({"partitions", "rules", "schedule", "sinks", "spider"})
_ATTRIBUTES: Final = frozenset({"start_urls", "allowed_domains"})


def spider_in(file: Path, name: str | None = None) -> type[Spider]:
    """The spider in a Python file, which is run; of several the one of that name.

    Modules beside it can be imported from it. Raises `InvalidInput` that says what is wrong, with
    the traceback of the user's code where that fails.
    """
    module = _run(file)
    found: list[type[Spider]] = [each for each in vars(module).values() if _is_spider(each, module)]
    spiders = {each.name: each for each in found if each.name}
    if not found:
        raise InvalidInput(f"{file}: no spider in it: write a class that derives from Spider")
    if not spiders:
        raise InvalidInput(
            f"{file}: {found[0].__name__}.name: is missing: say what the spider is called"
        )
    if name is None and len(spiders) == 1:
        return next(iter(spiders.values()))
    if name in spiders:
        return spiders[name]
    there = ", ".join(sorted(spiders))
    if name is None:
        raise InvalidInput(f"{file}: several spiders: choose by --spider NAME, of {there}")
    raise InvalidInput(
        f"{file}: --spider: no spider {name!r}{suggestion(name, spiders)}; there is: {there}"
    )


def installed_spider(name: str) -> type[Spider]:
    """The spider of that name among the entry points of what is installed.

    Raises `Misconfigured` where it is not there or cannot be imported.
    """
    found = {each.value: each for each in entry_points(group=GROUP, name=name)}
    if not found:
        names = sorted({each.name for each in entry_points(group=GROUP)})
        raise Misconfigured(
            f"spider: {name!r} is not installed where the crawl runs{suggestion(name, names)}; "
            f"install the package that has it as an entry point of {GROUP}, on every worker, and "
            f"restart these; there is: {', '.join(names[:20]) or 'none'}"
        )
    if len(found) > 1:
        raise Misconfigured(
            f"spider: {name!r} is installed {len(found)} times ({', '.join(sorted(found))}); "
            "keep one of them"
        )
    (entry,) = found.values()
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:  # whatever it is, it is not ours
        raise Misconfigured(f"spider {name}: cannot be imported: {blamed(error)}") from error
    if not (isinstance(kind, type) and issubclass(kind, Spider)):
        raise Misconfigured(f"spider {name}: {entry.value} is no class that derives from Spider")
    return kind


def merged(kind: type[Spider], definition: Definition) -> Definition:
    """The whole definition: what the spider says, and over it what ``definition`` does.

    Raises `InvalidInput` that names spider and field.
    """
    source = f"spider {definition.spider}"
    settings: Any = kind.custom_settings
    if not isinstance(settings, Mapping):
        raise InvalidInput(
            f"{source}: custom_settings: must be a dict of settings and their values "
            f"(got {type(settings).__name__})",
            field="custom_settings",
        )
    for field in settings:
        if field in _ELSEWHERE:
            raise InvalidInput(
                f"{source}: custom_settings[{field!r}]: belongs into the definition that names the "
                "spider",
                field=field,
            )
        if field in _ATTRIBUTES:
            raise InvalidInput(
                f"{source}: custom_settings[{field!r}]: is an attribute of the class", field=field
            )
    said = {name: getattr(kind, name) for name in _ATTRIBUTES if getattr(kind, name)}
    own = {name: _listed(value) for name, value in {**settings, **said}.items()}
    plain = from_data({**own, "spider": definition.spider}, source=source).canonical()
    return from_data({**json.loads(plain), **json.loads(definition.canonical())}, source=source)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _is_spider(value: Any, module: ModuleType) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, Spider)
        and value.__module__ == module.__name__
    )


def _run(file: Path) -> ModuleType:
    """Run a file as a module."""
    if not file.is_file():
        raise InvalidInput(f"{file}: no such file")
    name = f"spider {file.absolute()}"  # which shadows no other module
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{file}: not a Python file; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.absolute()))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidInput(f"{file}: cannot be imported\n{users_traceback(error)}") from error
    return module
