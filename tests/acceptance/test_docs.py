"""The documents do not lie: commands run, options exist, links lead somewhere, definitions load."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.cli.main import build
from crawler.config import edge_config, worker_config
from crawler.definition import load_text
from crawler.edge.plan import read_plan
from tests.acceptance.cluster import Site
from tests.acceptance.reader import Block, Reader, blocks
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SITE = ROOT / "etc" / "docs"
PAGES = sorted((SITE / "pages").rglob("*.md"))
DOCUMENTS = [README, *PAGES]
TYPED = ("sh", "")
_INLINE = re.compile(r"`(crawler [a-z][^`]*|make [a-z][^`]*)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


documents = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command, without what is sent where and what is set before it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "" and not line.startswith("$ "):
            continue
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";|&<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";|&<>"):
                words.append(word)
                continue
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words and ">" not in word:
                yield words
                words = []
            elif words:
                yield words
                words = ["(file)"]


def check_command(words: list[str], where: str) -> None:
    """Raises where crawler would not take these words, or make knows no such target."""
    match words:
        case ["crawler", "--version" | "--help"]:
            return
        case ["crawler", name, *arguments]:
            command, rest = find_command([name, *arguments], where)
            command.make_context(name, rest)
        case ["make", target, *_]:
            assert target in targets(), f"{where}: there is no make {target}"


def find_command(words: list[str], where: str) -> tuple[Any, list[str]]:
    """What `crawler` would run, as in crawler install nginx, and the words behind its name."""
    command: Any = build()
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{where}: there is no crawler {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def targets() -> list[str]:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return str(phony).split()


@documents
def test_commands_parse(path: Path) -> None:
    for block in blocks(path):
        if block.language in TYPED:
            for words in commands(block):
                try:
                    check_command(words, block.where)
                except Exception as error:
                    raise AssertionError(f"{block.where}: {words}: {error}") from error


@documents
def test_commands_in_sentences_exist(path: Path) -> None:
    for found in _INLINE.findall(re.sub(r"\s+", " ", path.read_text())):
        program, name, *words = found.split()
        if program == "make":
            assert name in targets(), found
            continue
        command, words = find_command([name, *words], found)
        known = {spelled for each in command.params for spelled in each.opts}
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert options <= known | {"--help"}, found


@documents
def test_definitions_and_settings_load(path: Path, tmp_path: Path) -> None:
    for block in blocks(path):
        if block.language != "toml":
            continue
        data = tomllib.loads(block.text)
        if "project" in data:
            continue
        if {"etcd", "store", "worker"} & data.keys():
            file = tmp_path / "crawler.toml"
            file.write_text(block.text)
            worker_config({"config": str(file)}, {})
            if "edge" in data:
                read_plan(edge_config({"config": str(file)}, {}))
            continue
        beginning = "" if {"start_urls", "spider"} & data.keys() else BEGINNING
        load_text(beginning + block.text, source=block.where)


BEGINNING = 'start_urls = ["https://shop.example/"]\n'


@documents
def test_python_compiles(path: Path) -> None:
    for block in blocks(path):
        if block.language == "python":
            compile(block.text, block.where, "exec")


def test_links_of_readme_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README.read_text()):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = ROOT / file if file else README
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    """Of its headings, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it: with a warning, a dead link say, it is not."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [*(sys.executable, "-m", "mkdocs", "build"), "-f", SITE / "mkdocs.yml", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(built: Path) -> None:
    for page in built.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=[\"']?(https?:[^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]* href=[\"']?(https?:[^\"' >]+)", text)
        assert not loaded, f"{page.name} loads {loaded}"
    for made in ("cli", "definition", "settings", "api", "examples"):
        assert (built / "reference" / made / "index.html").stat().st_size > 10_000


def test_calls_in_documents_are_in_the_reference(built: Path) -> None:
    described = (built / "reference" / "api" / "index.html").read_text()
    known = set(re.findall(r"<code>([A-Z]+) (/[^<]*)</code>", described)) | BESIDE
    for path in DOCUMENTS:
        text = path.read_text()
        calls = re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?]*)", text)
        calls += [("", each) for each in re.findall(r"http://[\w.]+:80[89]\d(/[a-z/]+)", text)]
        for call in calls:
            assert any(fits(call, *each) for each in known), f"{name_of(path)}: {call}"


BESIDE = {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/metrics")}


def fits(call: tuple[str, str], method: str, template: str) -> bool:
    """Whether a call, "" for any method, is of a path like /crawler/resource/{name}."""
    pattern = re.sub(r"\{\w+\}", "[^/]+", template)
    return call[0] in ("", method) and re.fullmatch(pattern, call[1]) is not None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    master, port = free_port(), free_port()
    site = Site(tmp_path, 60)
    words = {
        "https://shop.example": site.url,
        "http://127.0.0.1:8000": f"http://127.0.0.1:{port}",
        "--port 8000": f"--port {port}",
    }
    reading = Reader(
        tmp_path,
        words,
        CRAWLER_MASTER=f"http://127.0.0.1:{master}",
        CRAWLER_HTTP=f":{master}",
        CRAWLER_ALLOW_PRIVATE="127.0.0.0/8",
        CRAWLER_MASTERS="1",  # that nodes take each other's place is shown elsewhere
        CRAWLER_WORKERS="1",
        CRAWLER_PROCESSES="1",
        XDG_DATA_HOME=str(tmp_path / "home"),
    )
    yield reading
    reading.kill()
    site.process.kill_group()


@pytest.mark.timeout(400)
def test_tutorial_and_readme_do_what_they_say(reader: Reader, tmp_path: Path) -> None:
    reader.follow(README, "readme")
    assert len((tmp_path / "readme" / "items.jsonl").read_text().splitlines()) > 60
    reader.follow(SITE / "pages" / "tutorial.md", "tutorial")
    own = (tmp_path / "tutorial" / "mine.csv").read_text().splitlines()
    assert own[0].startswith("title,price,sku")
    assert len(own) > 5
    reader.follow(SITE / "pages" / "migration" / "scrapy.md", "scrapy")
    assert set(reader.leave().values()) == {0}
