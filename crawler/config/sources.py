"""Where settings come from: flags over environment over file over defaults, merged once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crawler.config.checks import Listen
from crawler.config.settings import EdgeConfig, MasterConfig, UpConfig, WorkerConfig
from crawler.config.table import (
    CRAWLING,
    ENTRUSTED,
    LOGS,
    ROLES,
    SHARED,
    Setting,
    data_home,
    defaults,
    sqlite_url,
)
from crawler.errors import InvalidInput

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - only where callers are asked who they are, over TLS
_KINDS = {str: "a string", int: "a whole number", bool: "true or false"}
_TRUTH = {"true": True, "1": True, "yes": True, "on": True}
_FALSEHOOD = {"false": False, "0": False, "no": False, "off": False}


def _from_text(kind: type, text: str) -> object:
    """What a flag or variable holds, as the kind that TOML would hold."""
    if kind is bool:
        truth: bool | None = (_TRUTH | _FALSEHOOD).get(text.strip().lower())
        if truth is None:
            raise ValueError(f"expected true or false, got {text!r}")
        return truth
    if kind is int:
        if re.fullmatch(r"-?[0-9]{1,18}", text.strip()) is None:
            raise ValueError(f"expected a whole number, got {text!r}")
        return int(text)
    return text


def _as_kind(kind: type, raw: object) -> object:
    """Check TOML's type; one string stands for a list of comma-separated ones."""
    if kind is tuple:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple) or not all(isinstance(p, str) for p in parts):
            raise ValueError("expected a list of strings")
        return tuple(part.strip() for part in parts if part.strip())
    if kind is dict and type(raw) is not dict:
        raise ValueError("expected a table in the file of --config")
    if type(raw) is not kind:
        raise ValueError(f"expected {_KINDS[kind]}, got {raw!r}")
    return raw


def _value(setting: Setting, raw: object, source: str, name: str, *, text: bool = False) -> Any:
    try:
        if text and isinstance(raw, list | tuple):
            raw = ",".join(raw)  # of a flag that was given several times
        typed = _from_text(setting.kind, raw) if text and isinstance(raw, str) else raw
        return setting.check(_as_kind(setting.kind, typed))
    except (ValueError, InvalidInput) as error:
        said = str(error).removeprefix(f"{name}: ")
        raise InvalidInput(f"{source}: {said}", field=name) from error


def flag_name(name: str) -> str:
    """The flag of a setting: ``allow_private`` → ``--allow-private``."""
    return "--" + name.replace("_", "-")


def variable_name(name: str) -> str:
    """The environment variable of a setting: ``allow_private`` → ``CRAWLER_ALLOW_PRIVATE``."""
    return "CRAWLER_" + name.upper()


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """The settings of a TOML file, checked, per role; a role's table wins over the top."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", field="config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", field="config") from error
    tables = {role: document.pop(role, {}) for role in ROLES}
    top = _read_table(document, SHARED | CRAWLING | ENTRUSTED, str(path), "")
    merged = {}
    for role, settings in ROLES.items():
        if not isinstance(tables[role], dict):
            raise InvalidInput(f"{path}: {role}: expected a table", field=role)
        below = _read_table(tables[role], settings, str(path), f"{role}.")
        merged[role] = {name: value for name, value in top.items() if name in settings} | below
    return merged


def _read_table(
    table: Mapping[str, Any], settings: Mapping[str, Setting], source: str, prefix: str
) -> dict[str, Any]:
    values = {}
    for name, raw in table.items():
        if name not in settings:
            raise InvalidInput(f"{source}: {_unknown(name, settings, prefix)}", field=name)
        values[name] = _value(settings[name], raw, f"{source}: {prefix}{name}", name)
    return values


def _unknown(name: str, settings: Mapping[str, Setting], prefix: str) -> str:
    elsewhere = {} if prefix else {key: role for role in reversed(ROLES) for key in ROLES[role]}
    near = difflib.get_close_matches(name.replace("-", "_"), {**elsewhere, **settings}, n=1)
    unknown = f"unknown key {prefix}{name}"
    if not near:
        return unknown
    if near[0] in settings:
        return f"{unknown}; did you mean {prefix}{near[0]}?"
    table = f"the table [{elsewhere[near[0]]}]"
    if near[0] == name:
        return f"{unknown}; it belongs into {table}"
    return f"{unknown}; did you mean {near[0]}, in {table}?"


def _merge(
    role: str, flags: Mapping[str, object], file: Path | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    """One value per setting of the role. ``flags`` holds None for what was not given."""
    values = dict(defaults(role, environ))
    in_file = read_file(file)[role] if file is not None else {}
    for name, setting in ROLES[role].items():
        flag, variable = flags.get(name), environ.get(variable_name(name))
        if flag is not None:
            values[name] = _value(setting, flag, flag_name(name), name, text=True)
        elif variable is not None:
            values[name] = _value(setting, variable, variable_name(name), name, text=True)
        elif name in in_file:
            values[name] = in_file[name]
        elif values[name] is not None:
            values[name] = setting.check(values[name])
    if values.get("cluster") is False and values["store"] == defaults(role, environ)["store"]:
        values["store"] = sqlite_url(data_home(environ) / "alone.db")  # not a cluster's
    if "ttl" in values:
        values["ttl_s"] = values.pop("ttl")
    if values.get("tokens") and values.get("tls_cert"):
        # Whoever gets as far as a port is asked who it is, and nobody can listen in.
        for name in ("http", "grpc", "proxy"):
            listen = values.get(name)
            if isinstance(listen, Listen) and listen.implicit:
                values[name] = replace(listen, host=_EVERYWHERE)
    return values


def _config_file(flags: Mapping[str, object], environ: Mapping[str, str]) -> Path | None:
    named = flags.get("config") or environ.get("CRAWLER_CONFIG")
    return Path(str(named)).expanduser() if named else None


def read_networks(given: Sequence[str]) -> tuple[str, ...]:
    """The networks of ``--allow-private``, of each time it was given, where nothing else is
    read."""
    setting = CRAWLING["allow_private"]
    networks: tuple[str, ...] = _value(
        setting, given, "--allow-private", "allow_private", text=True
    )
    return networks


def read_level(text: str) -> str:
    """The word of ``--log-level`` where no other setting is read."""
    level: str = _value(LOGS["log_level"], text, "--log-level", "log_level", text=True)
    return level


def read_entrusted(config: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the file of ``--config`` (or ``CRAWLER_CONFIG``) entrusts a worker with, and the
    ``browser`` that it, or ``CRAWLER_BROWSER``, names (None: the one that is installed), where no
    other setting is read."""
    file = _config_file({"config": config}, environ)
    found = read_file(file)["worker"] if file is not None else {}
    browser = found.get("browser")
    variable = variable_name("browser")
    if (text := environ.get(variable)) is not None:
        browser = _value(ROLES["worker"]["browser"], text, variable, "browser", text=True)
    return {**{name: found.get(name, {}) for name in ENTRUSTED}, "browser": browser}


def read_store(text: str) -> str:
    """The URL of ``--store`` where no other setting is read."""
    url: str = _value(SHARED["store"], text, "--store", "store", text=True)
    return url


def read_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """What commands say who they are: ``CRAWLER_TOKEN``, or what stands in the file that
    ``CRAWLER_TOKEN_FILE`` names. No flag: anybody could read it in the process list."""
    if token := environ.get("CRAWLER_TOKEN", "").strip():
        return token
    file = environ.get("CRAWLER_TOKEN_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"CRAWLER_TOKEN_FILE: {file}: {reason}", field="token") from error


def read_authority(environ: Mapping[str, str] = os.environ) -> str | None:
    """Whose certificates commands trust in masters at https://: ``CRAWLER_TLS_CA``, a file; None:
    those that the system trusts."""
    file: str | None = _value(
        SHARED["tls_ca"], environ.get("CRAWLER_TLS_CA", ""), "CRAWLER_TLS_CA", "tls_ca", text=True
    )
    return file


def read_insecure(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether commands may send their token in clear: ``CRAWLER_INSECURE``."""
    text = environ.get("CRAWLER_INSECURE", "")
    setting = SHARED["insecure"]
    return bool(text) and bool(_value(setting, text, "CRAWLER_INSECURE", "insecure", text=True))


def master_config(
    flags: Mapping[str, object], environ: Mapping[str, str] = os.environ
) -> MasterConfig:
    """A master's settings; ``flags`` by setting name, plus ``config`` for the file.

    Raises `InvalidInput` (a value; named with its source) or `Misconfigured` (a combination).
    """
    return MasterConfig(**_merge("master", flags, _config_file(flags, environ), environ))


def worker_config(
    flags: Mapping[str, object], environ: Mapping[str, str] = os.environ
) -> WorkerConfig:
    """A worker's settings; as `master_config`."""
    return WorkerConfig(**_merge("worker", flags, _config_file(flags, environ), environ))


def up_config(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> UpConfig:
    """The settings of `crawler up`; as `master_config`."""
    file = _config_file(flags, environ)
    return UpConfig(**_merge("up", flags, file, environ), file=file and file.absolute())


def edge_config(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> EdgeConfig:
    """The settings of `crawler edge`; as `master_config`."""
    return EdgeConfig(**_merge("edge", flags, _config_file(flags, environ), environ))
