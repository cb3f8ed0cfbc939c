"""What a node checks: whether it is ready for work, and what else somebody should see to."""

from __future__ import annotations

from collections.abc import Iterable

from crawler.coordination.catalog import Catalog, Load
from crawler.coordination.etcd import Etcd
from crawler.errors import EtcdUnavailable, Unavailable
from crawler.master.listing import Listing, Wanted
from crawler.master.master import Master
from crawler.model import State
from crawler.store.contract import Store
from crawler.telemetry.health import Health
from crawler.worker.supervisor import Supervisor

_NAMED = 5  # of what is alike


def watch_store(health: Health, store: Store) -> None:
    async def store_answers() -> str:
        await store.check()
        return "the store answers"

    advice = (
        "see whether its server runs, can be reached from here and has space; what is crawled "
        "waits for it and is not lost; crawler doctor looks closer"
    )
    health.add("store", store_answers, advice)


def watch_etcd(health: Health, etcd: Etcd) -> None:
    async def etcd_answers() -> str:
        status = await etcd.status()
        return f"etcd {status.version} answers"

    advice = (
        "see whether most of its members run and reach one another; until then nothing can be "
        "changed, and what is crawled goes on; crawler doctor looks at each of them"
    )
    health.add("etcd", etcd_answers, advice)


def watch_leader(health: Health, catalog: Catalog) -> None:
    async def say_leader() -> str:
        leader = catalog.leader
        if leader is None:
            raise EtcdUnavailable("no master leads")
        return f"{leader.value} leads"

    advice = (
        "one is elected within seconds; if none is, see what the logs of the masters say of the "
        "election, and start a master where none runs"
    )
    health.add("leader", say_leader, advice)


def words_of_leader(master: Master, own: str) -> str:
    """Who leads, as the master knows that would lead under the value ``own``."""
    leader = master.catalog.leader
    if master.leading() is not None:
        return "leads"
    if leader is None or leader.value == own:  # of its own, before it lost touch or took over
        return "waits for a leader"
    return f"follows {leader.value}"


def words_of_load(load: Load) -> str:
    """How busy a worker is, and what keeps it from its work."""
    words = f"crawls {load.resources}, pages in work {load.active}"
    return f"{words}; {load.trouble}" if load.trouble else words


def watch_workers(health: Health, catalog: Catalog) -> None:
    async def all_work() -> str:
        if not catalog.workers:
            raise Unavailable("no worker is up, so that nothing is crawled")
        ill = {node: load.trouble for node, load in catalog.loads.items() if load.trouble}
        if ill:
            raise Unavailable(_named(f"{node}: {why}" for node, why in sorted(ill.items())))
        return f"{len(catalog.workers)} are up"

    health.note("workers", all_work, "start one: crawler worker; or mend what it names")


def watch_crawls(health: Health, catalog: Catalog) -> None:
    listing = Listing()

    async def none_stuck() -> str:
        page = listing.page(
            catalog.entries, frozenset(catalog.workers), Wanted(state=State.ERROR, limit=_NAMED)
        )
        if failed := page.totals.get(State.ERROR, 0):
            names = ", ".join(each.name for each in page.entries)
            raise Unavailable(f"{failed} ended in error: {names}{' …' if page.next else ''}")
        return f"{page.totals.get(State.RUNNING, 0)} run, none is in error"

    advice = "crawler show NAME says why; change the definition, or crawler start NAME to try again"
    health.note("crawls", none_stuck, advice)


def watch_children(health: Health, supervisor: Supervisor) -> None:
    async def they_crawl() -> str:
        load = supervisor.load
        if not supervisor.child_pids:
            raise Unavailable("no crawling process is up")
        if load.trouble:
            raise Unavailable(load.trouble)
        return f"{load.resources} here, {load.active} pages in work"

    advice = (
        "the log says why they ended (child ended: exit, cause); what they had goes on in the next "
        "that comes up, or on another worker"
    )
    health.note("crawls", they_crawl, advice)


def _named(words: Iterable[str]) -> str:
    """The first of them."""
    all_ = list(words)
    more = f"; and {len(all_) - _NAMED} more" if len(all_) > _NAMED else ""
    return "; ".join(all_[:_NAMED]) + more
