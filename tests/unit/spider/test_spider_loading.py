"""Where spiders come from, and what is said where they cannot be had."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler.app.source import read_crawl
from crawler.app.spiders import open_spider
from crawler.definition import from_data, from_json
from crawler.errors import InvalidInput, Misconfigured
from crawler.spider.loading import installed_spider, merged, spider_in
from tests.spiders import install_spider

HEAD = "from crawler.spider import Request, Spider\n"
SHOP = """
class Shop(Spider):
    name = "shop"
    start_urls = ["https://shop.example/"]
    custom_settings = {"download_delay": 0.5, "retry_http_codes": {500}, "robotstxt_obey": False}
"""
NEWS = "class News(Spider):\n    name = 'news'\n"

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Of what is importable."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a spider where Python looks for such."""

    def put(package: str, code: str, attribute: str = "Shop") -> None:
        monkeypatch.syspath_prepend(install_spider(tmp_path, package, code, attribute))

    return put


def write(folder: Path, code: str, name: str = "my_spider.py") -> Path:
    file = folder / name
    file.write_text(code)
    return file


def test_the_one_spider_of_a_file_is_found_beside_what_it_imports(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "class Shared(Spider):\n    name = 'shared'\n", "parts_of_it.py")
    base = "class Base(Spider):\n    allowed_domains = ['shop.example']\n"
    code = f"{HEAD}from parts_of_it import Shared\n{base}{SHOP.replace('Spider', 'Base')}"
    kind = spider_in(write(tmp_path, code, "json.py"))  # a name that shadows nothing
    assert (kind.name, kind.allowed_domains) == ("shop", ["shop.example"])


def test_of_several_one_is_chosen(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + SHOP + NEWS)
    assert spider_in(file, "news").name == "news"
    with pytest.raises(InvalidInput, match=r"several spiders: choose by --spider NAME, of news, s"):
        spider_in(file)
    with pytest.raises(InvalidInput, match=r"no spider 'shopp', did you mean shop\?; there is: ne"):
        spider_in(file, "shopp")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n", "no spider in it: write a class that derives from Spider"),
        (HEAD, "no spider in it"),
        (f"{HEAD}class Shop(Spider):\n    pass\n", "Shop.name: is missing"),
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("class Shop(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_without_a_spider_says_so(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        spider_in(write(tmp_path, code))
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/my_spider.py: ")


def test_a_failing_import_shows_the_users_code_only(tmp_path: Path) -> None:
    code = "def price():\n    return 1 / 0\n\nprice()\n"
    with pytest.raises(InvalidInput) as raised:
        spider_in(write(tmp_path, code))
    first, *frames, last = str(raised.value).splitlines()
    assert first.endswith("my_spider.py: cannot be imported")
    assert [line.partition(", line ")[2] for line in frames if "File" in line] == [
        "4, in <module>",
        "2, in price",
    ]
    assert last == "ZeroDivisionError: division by zero"


def test_a_definition_goes_before_what_the_spider_says(tmp_path: Path) -> None:
    kind = spider_in(write(tmp_path, HEAD + SHOP))
    plain = merged(kind, from_data({"spider": "shop"}))
    assert (plain.start_urls, plain.download_delay) == (("https://shop.example/",), 0.5)
    assert (plain.retry_http_codes, plain.robotstxt_obey) == ((500,), False)
    said = {"spider": "shop", "start_urls": ["https://b.example/"], "download_delay": 1.0}
    stored = from_json(from_data(said).canonical())  # a default, but said
    over = merged(kind, stored)
    assert (over.start_urls, over.download_delay) == (("https://b.example/",), 1.0)
    assert over.robotstxt_obey is False


def test_settings_may_have_the_names_that_scrapy_gives_limits(tmp_path: Path) -> None:
    code = SHOP.replace("{", "{'closespider_pagecount': 7, ", 1)
    kind = spider_in(write(tmp_path, HEAD + code))
    assert merged(kind, from_data({"spider": "shop"})).max_pages == 7
    assert merged(kind, from_data({"spider": "shop", "max_pages": 3})).max_pages == 3


async def test_a_spider_that_does_not_begin_is_not_waited_for(install: Install) -> None:
    slow = (
        f"{HEAD}import time\nclass Shop(Spider):\n    def start(self):\n        time.sleep(0.5)\n"
    )
    install("ours", slow)
    with pytest.raises(Misconfigured, match=r"spider shop: takes longer than 0.05 s to be import"):
        await open_spider(from_data({"spider": "shop"}), Path("/nowhere"), within_s=0.05)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{'download_dely': 1}", "spider shop: download_dely: unknown field, did you mean downl"),
        ("{'DOWNLOAD_DELAY': 1}", "unknown field, did you mean download_delay"),
        ("{'download_delay': -1}", "spider shop: download_delay: must be at least 0.0 (got -1)"),
        (
            "['download_delay']",
            "spider shop: custom_settings: must be a dict of settings and their",
        ),
        ("{'schedule': 'every 6h'}", "custom_settings['schedule']: belongs into the definition"),
        ("{}\n    start_urls = 'https://shop.example/'", "spider shop: start_urls: must be a list"),
        ("{'start_urls': []}", "custom_settings['start_urls']: is an attribute of the class"),
    ],
)
def test_wrong_settings_name_spider_and_field(settings: str, said: str, tmp_path: Path) -> None:
    code = f"{HEAD}class Shop(Spider):\n    name = 'shop'\n    custom_settings = {settings}\n"
    with pytest.raises(InvalidInput) as raised:
        merged(spider_in(write(tmp_path, code)), from_data({"spider": "shop"}))
    assert said in str(raised.value)


def test_a_definition_names_a_spider_or_rules() -> None:
    with pytest.raises(InvalidInput, match="spider: stands beside rules; keep one of them"):
        from_data({"spider": "shop", "rules": [{"match": "https://shop.example/"}]})
    with pytest.raises(InvalidInput, match="spider: must be 1 to 64 letters"):
        from_data({"spider": "os.system('x')"})
    assert from_data({"spider": "shop"}).canonical() == '{"spider":"shop"}'


def test_an_installed_spider_is_found_by_its_entry_point(install: Install) -> None:
    install("ours", HEAD + SHOP)
    assert installed_spider("shop").__name__ == "Shop"


def test_a_spider_that_is_not_installed_is_named_with_the_way_out(install: Install) -> None:
    install("ours", HEAD + SHOP)
    with pytest.raises(Misconfigured) as raised:
        installed_spider("shopp")
    said = str(raised.value)
    assert said.startswith(
        "spider: 'shopp' is not installed where the crawl runs, did you mean shop?"
    )
    assert "as an entry point of crawler.spiders, on every worker" in said
    assert said.endswith("there is: shop")


@pytest.mark.parametrize(
    ("code", "attribute", "said"),
    [
        ("import nowhere_at_all\n", "Shop", "ModuleNotFoundError: No module named 'nowhere_at_al"),
        (HEAD + SHOP, "Shopp", "AttributeError"),
        ("Shop = 3\n", "Shop", "ours:Shop is no class that derives from Spider"),
    ],
)
def test_a_broken_installation_is_told(
    code: str, attribute: str, said: str, install: Install
) -> None:
    install("ours", code, attribute)
    with pytest.raises(Misconfigured) as raised:
        installed_spider("shop")
    assert str(raised.value).startswith("spider shop: ")
    assert said in str(raised.value)


def test_one_name_of_two_spiders_is_refused(install: Install) -> None:
    install("ours", HEAD + SHOP)
    install("theirs", HEAD + SHOP)
    with pytest.raises(Misconfigured, match=r"installed 2 times \(ours:Shop, theirs:Shop\)"):
        installed_spider("shop")


def test_settings_of_a_command_line_go_before_the_file(tmp_path: Path) -> None:
    file = str(write(tmp_path, HEAD + SHOP))
    definition, loaded = read_crawl(file, None, ["download_delay=2.0", "max_pages=3"])
    assert loaded is not None
    assert (definition.download_delay, definition.max_pages) == (2.0, 3)
    assert (definition.spider, definition.robotstxt_obey) == ("shop", False)
    with pytest.raises(InvalidInput, match="the spider is that of the file"):
        read_crawl(file, None, ["spider=other"])
    with pytest.raises(InvalidInput, match="--spider: is for Python files"):
        read_crawl("https://shop.example/", "shop")
