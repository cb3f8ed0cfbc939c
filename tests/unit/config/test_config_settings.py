"""Where a setting comes from, and what a wrong one is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.app.node import open_pair
from crawler.config import (
    Listen,
    data_home,
    edge_config,
    flag_name,
    master_config,
    read_entrusted,
    read_file,
    read_networks,
    read_store,
    sqlite_url,
    up_config,
    variable_name,
    worker_config,
)
from crawler.errors import InvalidInput, Misconfigured


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "crawler.toml"
    path.write_text(text)
    return str(path)


def test_defaults_are_those_of_the_walk_through() -> None:
    master, worker = master_config({}, {}), worker_config({}, {})
    assert (master.id, str(master.http), str(master.grpc)) == (
        "1",
        "127.0.0.1:8081",
        "127.0.0.1:9091",
    )
    assert master.pprof is None
    assert master.ttl_s == 10
    assert master.election_prefix == "/resources/election"
    assert worker.cluster
    assert worker.processes >= 1
    assert worker.allow_private == ()


def test_flag_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = written(tmp_path, "ttl = 7\nlog_level = 'error'\n[master]\nid = 'file'\n")
    environ = {"CRAWLER_ID": "variable", "CRAWLER_LOG_LEVEL": "debug"}
    assert master_config({"config": file}, {}).id == "file"
    assert master_config({"config": file}, environ).id == "variable"
    config = master_config({"config": file, "id": "flag"}, environ)
    assert (config.id, config.log_level, config.ttl_s) == ("flag", "debug", 7)
    assert config.log_format == "auto"


def test_a_table_wins_over_the_top(tmp_path: Path) -> None:
    file = written(tmp_path, "ttl = 7\n[worker]\nttl = 5\n")
    assert worker_config({"config": file}, {}).ttl_s == 5
    assert master_config({"config": file}, {}).ttl_s == 7


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, "[up]\nworkers = 2\n")
    config = up_config({}, {"CRAWLER_CONFIG": file})
    assert config.workers == 2
    assert config.file == Path(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tll = 3", "unknown key tll; did you mean ttl?"),
        ("http = ':80'", "unknown key http; it belongs into the table [master]"),
        ("mastres = 2", "unknown key mastres; did you mean masters, in the table [up]?"),
        ("[master]\nprocesses = 3", "unknown key master.processes"),
        ("[worker]\nallow-private = []", "did you mean worker.allow_private?"),
        ("ttl = '3'", "ttl: expected a whole number, got '3'"),
        ("ttl = true", "ttl: expected a whole number, got True"),
        ("ttl = 1", "ttl: expected 2 to 300, got 1"),
        ("insecure = 'yes'", "insecure: expected true or false, got 'yes'"),
        ("etcd = [1]", "etcd: expected a list of strings"),
        ("master = 3", "master: expected a table"),
        ("ttl = \nid = 1", "line 1"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        master_config({"config": file}, {})
    assert said in str(caught.value)
    assert file in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"/nowhere/x\.toml: No such file"):
        read_file(Path("/nowhere/x.toml"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("http", "8081", "--http: expected HOST:PORT or :PORT"),
        ("http", ":99999", "--http: expected HOST:PORT"),
        ("grpc", "a b:1", "--grpc: 'a b' is no host"),
        ("etcd", "ftp://x:1", "--etcd: expected http://HOST:PORT"),
        ("etcd", "http://x", "--etcd: expected http://HOST:PORT"),
        ("etcd", "http://x:1/v3", "an etcd address ends with its port"),
        ("etcd", "http://me:secret@x:1", "user and password belong into etcd_user"),
        ("store", "mysql://x", "--store: expected sqlite:///PATH"),
        ("store", "sqlite://x", "--store: expected sqlite:///PATH"),
        ("id", "a-b", "--id: 1 to 64 letters"),
        ("ttl", "soon", "--ttl: expected a whole number"),
        ("podip", "here", "--podip: "),
        ("advertise", ":9091", "--advertise: expected HOST or HOST:PORT"),
        ("advertise", "a:b", "--advertise: expected HOST or HOST:PORT"),
        ("advertise", "a:99999", "--advertise: expected HOST or HOST:PORT"),
        ("advertise", "[::1", "--advertise: expected HOST or HOST:PORT"),
        ("etcd_ca", "/nowhere/ca.pem", "--etcd-ca: no such file"),
        ("election_prefix", "/resources/x", "--election-prefix: expected /resources/election"),
        ("election_prefix", "/crawler/status", "--election-prefix: expected"),
        ("log_level", "loud", "--log-level: expected one of debug"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        master_config({name: value}, {})
    assert said in str(caught.value)
    assert caught.value.field == name


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    "password", ["hunter2", "a/hunter2", "a@hunter2", "a:hunter2", "a\nhunter2"]
)
@pytest.mark.parametrize("name", ["store", "etcd"])
def test_a_secret_is_never_repeated(name: str, password: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        master_config({name: f"mysql://me:{password}@x"}, {})
    assert "hunter2" not in str(caught.value)


def test_a_password_is_not_shown_by_the_settings_that_hold_it() -> None:
    config = master_config({"etcd_user": "me"}, {"CRAWLER_ETCD_PASSWORD": "hunter2"})
    assert config.etcd_password == "hunter2"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in repr(master_config({"store": "postgresql://me:hunter2@x/y"}, {}))
    assert "hunter2" not in repr(up_config({"store": "postgresql://me:hunter2@x/y"}, {}))


def test_a_wrong_variable_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="CRAWLER_CLUSTER: expected true or false, got 'maybe'"):
        worker_config({}, {"CRAWLER_CLUSTER": "maybe"})


def test_lists_take_commas() -> None:
    config = worker_config(
        {"etcd": "127.0.0.1:2379, https://b:2380", "allow_private": "10.0.0.0/8,fd00::/8"}, {}
    )
    assert config.etcd == ("http://127.0.0.1:2379", "https://b:2380")
    assert config.allow_private == ("10.0.0.0/8", "fd00::/8")


@pytest.mark.threat(1)
@pytest.mark.parametrize("text", [":8081", "localhost:8081", "127.0.0.1:8081"])
def test_no_host_means_loopback(text: str) -> None:
    config = master_config({"http": text, "insecure": True}, {})
    assert config.http == Listen("127.0.0.1", 8081)
    assert config.exposed == ()


@pytest.mark.threat(1)
@pytest.mark.parametrize("text", ["0.0.0.0:8081", "192.0.2.1:8081", "[::]:8081", "example.org:80"])
def test_beyond_loopback_needs_insecure(text: str) -> None:
    with pytest.raises(Misconfigured, match="--insecure"):
        master_config({"http": text}, {})
    assert master_config({"http": text, "insecure": True}, {}).exposed == (text,)


@pytest.mark.threat(1)
def test_pprof_counts_as_exposed_too() -> None:
    with pytest.raises(Misconfigured, match=r"0\.0\.0\.0:9981"):
        master_config({"pprof": "0.0.0.0:9981"}, {})


@pytest.mark.parametrize("other", ["grpc", "pprof", "proxy"])
def test_an_address_that_is_given_twice_is_named(other: str) -> None:
    with pytest.raises(Misconfigured, match=r"127\.0\.0\.1:8085 is given twice"):
        worker_config({"http": ":8085", other: "localhost:8085"}, {})
    worker_config({"http": ":0", other: ":0"}, {})  # any free ones


def test_up_stays_on_this_machine() -> None:
    with pytest.raises(Misconfigured, match="loopback only"):
        up_config({"http": "0.0.0.0:8081"}, {})


@pytest.mark.parametrize(
    "flags",
    [
        {"etcd_user": "me"},
        {"etcd_cert": __file__},
        {"etcd_ca": __file__, "etcd": "http://a:1"},
    ],
)
def test_halves_are_refused(flags: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        master_config(flags, {})


def test_a_worker_alone_keeps_its_crawls_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").touch()
    flags = {"cluster": "false", "definitions": str(tmp_path / "shop.toml")}
    assert worker_config(flags, {}).store.startswith("sqlite:")
    with pytest.raises(Misconfigured, match="give it --store sqlite:///PATH"):
        worker_config({**flags, "store": "postgresql://me@db/crawler"}, {})


def test_definitions_take_the_place_of_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = tuple(tmp_path / name for name in ("a.toml", "b, c.toml"))
    for file in files:
        file.write_text("")
    alone = {"cluster": "false"}
    assert worker_config({**alone, "definitions": "a.toml"}, {}).definitions == files[:1]
    assert worker_config(alone, {"CRAWLER_DEFINITIONS": str(files[0])}).definitions == files[:1]
    text = "[worker]\ncluster = false\ndefinitions = ['a.toml', 'b, c.toml']\n"
    config = worker_config({"config": written(tmp_path, text)}, {})
    assert (config.cluster, config.definitions) == (False, files)
    with pytest.raises(Misconfigured, match="needs --definitions=FILE"):
        worker_config(alone, {})
    with pytest.raises(Misconfigured, match="`crawler apply FILE`"):
        worker_config({"definitions": "a.toml"}, {})
    with pytest.raises(InvalidInput, match=r"--definitions: no such file: x\.toml"):
        worker_config({**alone, "definitions": "a.toml,x.toml"}, {})


def test_certificates_need_https() -> None:
    assert master_config({"etcd_ca": __file__, "etcd": "https://a:1"}, {}).etcd_ca == __file__


def test_the_store_is_one_file_per_user() -> None:
    assert data_home({"XDG_DATA_HOME": "/data"}) == Path("/data/crawler")
    assert data_home({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local/share/crawler"
    assert (
        master_config({}, {"XDG_DATA_HOME": "/data"}).store == "sqlite:///data/crawler/crawler.db"
    )


def test_a_path_becomes_a_url_and_back() -> None:
    url = sqlite_url(Path("/data/my crawls/50%#1.db"))
    assert url == "sqlite:///data/my%20crawls/50%25%231.db"
    assert master_config({"store": url}, {}).store == url


def test_single_settings_are_read_alone() -> None:
    assert read_store("sqlite:///a%20b.db") == "sqlite:///a%20b.db"
    with pytest.raises(InvalidInput, match="--store: expected sqlite:///PATH"):
        read_store("a.db")
    assert read_networks(()) == ()
    assert read_networks(["10.0.0.0/8, ::1/128", "fd00::/8"]) == (
        "10.0.0.0/8",
        "::1/128",
        "fd00::/8",
    )
    with pytest.raises(InvalidInput, match="--allow-private: expected networks"):
        read_networks(["10.0.0.1/8"])


def test_what_the_edge_tells_stays_on_this_machine_unless_that_is_wanted() -> None:
    assert edge_config({"http": ""}, {}).http is None
    with pytest.raises(Misconfigured, match="or say --insecure"):
        edge_config({"http": "10.0.0.1:80"}, {})
    assert edge_config({"http": "10.0.0.1:80", "insecure": True}, {}).http is not None


def test_names_of_a_setting() -> None:
    assert flag_name("allow_private") == "--allow-private"
    assert variable_name("allow_private") == "CRAWLER_ALLOW_PRIVATE"


def test_the_example_file_shows_the_defaults() -> None:
    flags = {"config": str(Path(__file__).parents[3] / "etc" / "crawler.toml")}
    assert master_config(flags, {}) == master_config({}, {})
    assert worker_config(flags, {}) == worker_config({}, {})
    assert up_config(flags, {}).masters == up_config({}, {}).masters
    assert edge_config(flags, {}) == edge_config({}, {})


def lock(folder: Path) -> dict[str, object]:
    """The flags of a node that asks who calls, over TLS."""
    names = ("tokens", "tls_ca", "tls_cert", "tls_key")
    for name in names:
        (folder / name).touch()
    return {name: str(folder / name) for name in names}


def test_a_locked_node_listens_everywhere_and_needs_no_flag_for_that(tmp_path: Path) -> None:
    config = master_config(lock(tmp_path), {})
    assert (config.http.host, config.grpc.host) == ("0.0.0.0", "0.0.0.0")
    assert config.exposed == ()
    chosen = master_config({**lock(tmp_path), "http": "127.0.0.1:8081", "pprof": ":9981"}, {})
    assert chosen.http.host == "127.0.0.1"
    assert chosen.pprof is not None
    assert chosen.pprof.loopback


@pytest.mark.threat(4)
def test_tokens_in_clear_stay_on_this_machine(tmp_path: Path) -> None:
    flags = {"tokens": lock(tmp_path)["tokens"]}
    assert master_config(flags, {}).http.loopback
    with pytest.raises(Misconfigured, match="tokens would travel there in clear"):
        master_config({**flags, "http": "10.0.0.1:8081"}, {})
    with pytest.raises(Misconfigured, match="can be reached"):
        master_config({**lock(tmp_path), "pprof": "10.0.0.1:9981"}, {})


def test_the_files_of_tls_go_together(tmp_path: Path) -> None:
    flags = lock(tmp_path)
    assert open_pair(master_config({}, {})) is None
    for missing in ("tls_ca", "tls_cert", "tls_key"):
        rest = {name: file for name, file in flags.items() if name != missing}
        with pytest.raises(Misconfigured, match="go together"):
            open_pair(master_config({**rest, "http": "127.0.0.1:0", "grpc": "127.0.0.1:0"}, {}))


def test_a_worker_may_be_told_its_browser(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("")
    with pytest.raises(InvalidInput, match=r"--browser: no program: .*chromium"):
        worker_config({"browser": str(program)}, {})
    program.chmod(0o755)
    assert worker_config({"browser": str(program)}, {}).browser == str(program)
    assert worker_config({}, {"CRAWLER_BROWSER": str(program)}).browser == str(program)
    assert worker_config({}, {}).browser is None
    file = written(tmp_path, f'[worker]\nbrowser = "{program}"\n')
    assert read_entrusted(file, {})["browser"] == str(program)
    assert read_entrusted(file, {"CRAWLER_BROWSER": ""})["browser"] is None
    with pytest.raises(InvalidInput, match="CRAWLER_BROWSER: no such file: /nope"):
        read_entrusted(None, {"CRAWLER_BROWSER": "/nope"})
