"""Limits, credentials by domain and what stands for a secret."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.definition import from_data, from_json, masked
from crawler.errors import InvalidInput

START = {"start_urls": ["https://shop.example/"]}
CANARY = "q7-canary"


def refusal(**settings: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        from_data({**START, **settings})
    assert CANARY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({}, "limits[0].per: is missing"),
        ({"per": 0}, "limits[0].per: must be at least 0.001"),
        ({"per": 7_200}, "less than one request an hour"),
        ({"per": 1, "events": 0}, "limits[0].events: must be at least 1"),
        ({"per": 1, "burst": 1.5}, "limits[0].burst: must be a whole number"),
        ({"per": 1, "bursts": 2}, "limits[0].bursts: unknown field, did you mean burst?"),
    ],
)
def test_a_wrong_limit_is_named(limit: dict[str, Any], said: str) -> None:
    assert said in refusal(limits=[limit])


def test_a_definition_with_all_of_it_survives_its_json() -> None:
    settings = {
        **START,
        "limits": [{"per": 2}, {"events": 100, "per": 60.0, "burst": 10}],
        "auth": [
            {"domain": "Shop.example", "basic": {"user": "me", "password": "${secret:shop}"}},
            {"domain": "api.example", "bearer": "${secret:api.v1}"},
        ],
        "headers": {"Authorization": "Bearer ${secret:shop}"},
        "cookies": {"session": "${secret:shop}"},
        "user_agents": ["one/1", "two/2"],
        "cookies_enabled": True,
        "login": {"url": "https://shop.example/login", "form": {"p": "${secret:shop}ü"}},
    }
    definition = from_data(settings)
    assert from_json(definition.canonical()) == definition
    assert definition.auth[0].domain == "shop.example"
    assert definition.limits[0].events == definition.limits[0].burst == 1


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ({"domain": "a.example"}, "auth[0]: needs either basic"),
        ({"bearer": CANARY}, "auth[0].domain: is missing"),
        ({"domain": "https://a.example/", "bearer": CANARY}, "auth[0].domain: must be a bare host"),
        ({"domain": "a.example", "bearer": "b", "basic": {"user": "u", "password": "p"}}, "needs"),
        ({"domain": "a.example", "bearer": f"{CANARY}\n"}, "auth[0].bearer: the value must be one"),
        ({"domain": "a.example", "bearer": [CANARY]}, "auth[0].bearer: must be a string"),
        ({"domain": "a.example", "bearer": "***"}, "only how it is shown"),
        ({"domain": "a.example", "bearer": f"${{env:{CANARY}}}"}, "without being a ${secret:NAME}"),
        ({"domain": "a.example", "basic": {"user": CANARY}}, "auth[0].basic.password: is missing"),
        ({"domain": "a.example", "basic": {"user": f"{CANARY}:", "password": "p"}}, "a colon"),
        ({"domain": "a.example", "basic": CANARY}, "auth[0].basic: must be a"),
    ],
)  # fmt: skip
def test_wrong_credentials_are_named_and_not_repeated(auth: dict[str, Any], said: str) -> None:
    assert said in refusal(auth=[auth])


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"form": {"p": CANARY}}, "login.url: is missing"),
        ({"form": {"p": CANARY}, "url": "/login"}, "login.url: must be an absolute URL"),
        ({"form": {}, "url": "https://a.example/"}, "login.form: must hold at least one entry"),
        ({"form": {"p": "***"}, "url": "https://a.example/"}, "login.form.p: is ***, which"),
        ({"form": {"p": f"${{x}}{CANARY}"}, "url": "https://a.example/"}, "without being a"),
        ({"form": {"p": 815}, "url": "https://a.example/"}, "login.form.p: must be a string"),
        ({"form": CANARY, "url": "https://a.example/"}, "login.form: must be a table"),
        ({"form": {"p": "x"}, "url": "https://a.example/", "check": "a["}, "login.check: 'a['"),
        ({"from": {"p": CANARY}, "url": "https://a.example/"}, "login.from: unknown field"),
    ],
)  # fmt: skip
def test_a_wrong_login_is_named_and_not_repeated(login: dict[str, Any], said: str) -> None:
    assert said in refusal(login=login)


def test_what_excludes_another_is_named() -> None:
    login = {"url": "https://a.example/", "form": {"p": "x"}}
    assert "cookies_enabled: false keeps no session" in refusal(login=login, cookies_enabled=False)
    twice = [{"domain": "a.example", "bearer": "x"}, {"domain": "A.example", "bearer": "y"}]
    assert "auth[1].domain: auth[0] is for this domain already" in refusal(auth=twice)
    assert "user_agents: stands beside user_agent" in refusal(user_agents=["a"], user_agent="b")
    assert "user_agents: holds an entry twice" in refusal(user_agents=["a", "a"])


@pytest.mark.threat(24)
def test_credentials_are_masked_and_the_names_of_secrets_are_not() -> None:
    given = {
        **START,
        "headers": {"Authorization": "Bearer ${secret:shop}", "X-Token": f"{CANARY}${{secret:x}}"},
        "cookies": {"a": "${secret:shop}", "b": CANARY},
        "auth": [
            {"domain": "a.example", "basic": {"user": CANARY, "password": "${secret:shop}"}},
            {"domain": "b.example", "bearer": CANARY},
        ],
    }
    form = {"user": CANARY, "password": "${secret:shop}"}
    given["login"] = {"url": "https://a.example/", "form": form}
    shown = masked(given)
    assert CANARY not in str(shown)
    assert shown["login"]["form"] == {"user": "***", "password": "${secret:shop}"}
    assert shown["headers"] == {"Authorization": "Bearer ${secret:shop}", "X-Token": "***"}
    assert shown["cookies"] == {"a": "${secret:shop}", "b": "***"}
    basic = {"user": "***", "password": "${secret:shop}"}
    assert shown["auth"] == [
        {"domain": "a.example", "basic": basic},
        {"domain": "b.example", "bearer": "***"},
    ]
