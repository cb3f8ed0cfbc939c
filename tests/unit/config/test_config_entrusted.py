"""A worker's secrets come from its file, from files and from the environment, and stay there."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.config import master_config, read_entrusted, up_config, worker_config
from crawler.errors import InvalidInput

CANARY = "q7-canary"
HERE = 'domains = ["Shop.example", "127.0.0.1"]'


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_secrets_are_read_from_value_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "by-env")
    key = written(tmp_path / "key", "by-file\n")
    file = written(
        tmp_path / "crawler.toml",
        f'[secrets.a]\nvalue = "by-value"\n{HERE}\n[secrets.b]\nfile = "{key}"\n{HERE}\n'
        f'[secrets."c.d-e"]\nenv = "SHOP_KEY"\n{HERE}\n',
    )
    config = worker_config({"config": file}, {})
    domains = ["shop.example", "127.0.0.1"]
    assert config.secrets == {
        "a": {"value": "by-value", "domains": domains},
        "b": {"value": "by-file", "domains": domains},
        "c.d-e": {"value": "by-env", "domains": domains},
    }
    assert read_entrusted(file, {})["secrets"] == config.secrets
    assert read_entrusted(None, {}) == {"secrets": {}, "proxy_pools": {}, "browser": None}
    assert worker_config({}, {}).secrets == {}
    assert "by-" not in repr(config)
    assert "by-" not in repr(master_config({"config": file}, {}))
    assert "by-" not in repr(up_config({"config": file}, {}))


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (f'value = "{CANARY}"', 'a: needs domains = ["shop.example", ...]'),
        (f'value = "{CANARY}"\ndomains = ["https://x/"]', "a: domains: must be a bare host name"),
        (f'value = "{CANARY}\\n"\n{HERE}', "a: what it holds must be one line"),
        (f'value = "{CANARY}"\nenv = "X"\n{HERE}', "a: needs one of value, file, env"),
        (f'values = "{CANARY}"\n{HERE}', "a: unknown key values"),
        (f"value = 7\n{HERE}", "a: value must be a string"),
        (f'file = "/nowhere/key"\n{HERE}', "a: /nowhere/key: No such file"),
        (f'env = "NOT_SET_ANYWHERE"\n{HERE}', "a: there is no environment variable NOT_SET"),
    ],
)
def test_a_wrong_secret_is_named_and_not_repeated(tmp_path: Path, entry: str, said: str) -> None:
    file = written(tmp_path / "crawler.toml", f"[worker.secrets.a]\n{entry}\n")
    with pytest.raises(InvalidInput) as caught:
        worker_config({"config": file}, {})
    assert said in str(caught.value)
    assert caught.value.field == "secrets"
    assert CANARY not in str(caught.value)


@pytest.mark.threat(24)
def test_secrets_are_refused_where_others_could_read_them() -> None:
    with pytest.raises(InvalidInput, match="expected a table in the file") as caught:
        worker_config({}, {"CRAWLER_SECRETS": CANARY})
    assert CANARY not in str(caught.value)


def test_pools_of_proxies_are_read(tmp_path: Path) -> None:
    urls = '["http://me:pw@proxy.example:3128/", "socks5://127.0.0.1:1080", "http://[::1]:8080"]'
    text = f'[proxy_pools.fast]\nurls = {urls}\nrotation = "sticky"\n'
    config = worker_config({"config": written(tmp_path / "crawler.toml", text)}, {})
    urls_read = ["http://me:pw@proxy.example:3128", "socks5://127.0.0.1:1080", "http://[::1]:8080"]
    assert config.proxy_pools == {"fast": {"urls": urls_read, "rotation": "sticky"}}
    assert "me:pw" not in repr(config)


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('rotation = "sticky"', "fast: needs urls"),
        ("urls = []", "fast: needs urls"),
        (f'urls = ["ftp://me:{CANARY}@x:1"]', "fast: urls[0]: expected http://USER"),
        (f'urls = ["http://me:{CANARY}@x"]', "fast: urls[0]"),
        (f'urls = ["http://a:1", "http://me:{CANARY}@x:1/path"]', "fast: urls[1]"),
        (f'urls = ["http://me:{CANARY}@x:port"]', "fast: urls[0]"),
        (f'urls = ["http://me:{CANARY}@[x:1"]', "fast: urls[0]"),
        ('urls = ["http://a:1"]\nrotation = "random"', "fast: rotation must be one of round-robin"),
    ],
)
def test_a_wrong_pool_is_named_without_its_password(tmp_path: Path, entry: str, said: str) -> None:
    file = written(tmp_path / "crawler.toml", f"[worker.proxy_pools.fast]\n{entry}\n")
    with pytest.raises(InvalidInput) as caught:
        worker_config({"config": file}, {})
    assert said in str(caught.value)
    assert CANARY not in str(caught.value)
