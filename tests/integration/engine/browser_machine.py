"""A machine on which a page tries to get where it must not.

``python -m tests.integration.engine.browser_machine DIRECTORY`` is run in a network namespace with
the addresses below. It serves a page that tries everything it can to reach the traps, crawls it,
shows it to a browser without walls, and prints as JSON what came to the traps each time, and what
was on the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Error, async_playwright

from crawler.engine.browser.process import find_browser

SITE = "93.184.215.14"  # a public address, which is this machine's own here
DEVICE = "web"
TRAPS = ("127.0.0.1", "169.254.169.254", "10.7.7.7", "::1")
PORT = 8080  # of the traps
NAMES = {
    "literal": f"127.0.0.1:{PORT}",
    "name": f"localhost:{PORT}",
    "decimal": f"2130706433:{PORT}",
    "octal": f"0177.0.0.1:{PORT}",
    "short": f"127.1:{PORT}",
    "mapped": f"[::ffff:127.0.0.1]:{PORT}",
    "six": f"[::1]:{PORT}",
    "metadata": f"169.254.169.254:{PORT}",
    "private": f"10.7.7.7:{PORT}",
}
ATTACK = """
const names = %s, port = %d;
const add = (tag, fields) => {
    document.body.append(Object.assign(document.createElement(tag), fields));
};
const quietly = work => { try { return work() } catch (error) { return null } };
for (const [kind, host] of Object.entries(names)) {
    const to = what => `http://${host}/${what}-${kind}`;
    const hop = what => `/hop?to=${encodeURIComponent(to(what))}`;
    fetch(to('fetch'), {mode: 'no-cors'}).catch(() => 0);
    fetch(hop('fetch-redirect'), {mode: 'no-cors'}).catch(() => 0);
    add('img', {src: to('img')});
    add('img', {src: hop('img-redirect')});
    add('script', {src: to('script')});
    add('script', {src: hop('script-redirect')});
    add('link', {rel: 'stylesheet', href: to('style')});
    add('link', {rel: 'prefetch', href: to('prefetch')});
    add('link', {rel: 'preconnect', href: to('preconnect')});
    add('iframe', {src: to('iframe')});
    add('iframe', {src: hop('iframe-redirect')});
    add('iframe', {srcdoc: `<img src="${to('srcdoc')}">`});
    add('object', {data: to('object')});
    add('video', {src: to('video'), autoplay: true});
    quietly(() => new WebSocket(`ws://${host}/websocket-${kind}`));
    quietly(() => new EventSource(to('events')));
    quietly(() => navigator.sendBeacon(to('beacon'), 'x'));
    quietly(() => window.open(to('window')));
    const code = `fetch('${to('worker')}', {mode: 'no-cors'}).catch(() => 0);
        new WebSocket('ws://${host}/worker-websocket-${kind}')`;
    quietly(() => new Worker(URL.createObjectURL(new Blob([code]))));
    const ice = [`stun:${host}`, `turn:${host}?transport=udp`, `turn:${host}?transport=tcp`];
    quietly(() => {
        const iceServers = ice.map(urls => ({urls, username: 'u', credential: 'c'}));
        const peer = new RTCPeerConnection({iceServers});
        peer.createDataChannel('x');
        peer.createOffer().then(offer => peer.setLocalDescription(offer));
    });
}
for (const rel of ['dns-prefetch', 'preconnect'])
    add('link', {rel, href: `http://${rel}.leak.example/`});
quietly(() => {
    const peer = new RTCPeerConnection({iceServers: [{urls: 'stun:stun.leak.example:3478'}]});
    peer.createDataChannel('x');
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
});
const wait = ms => new Promise(done => setTimeout(done, ms));
Promise.all([fetch('/ok').then(answer => answer.text()), wait(4000)])
    .then(([text]) => add('p', {id: 'done', textContent: text}));
"""
PAGE = f"<meta charset=utf-8><body><script>{ATTACK % (json.dumps(NAMES), PORT)}</script>"
RULE = f"""
start_urls = ["http://{SITE}/"]
retry_times = 0
[[rules]]
match = "**"
fetcher = "browser"
browser = {{ load = ["images", "media", "fonts"], wait_for = "#done" }}
item.done = "#done::text"
"""


class Traps:
    """Whatever comes to them is noted: the first word of a path, ``udp``, or ``tcp``."""

    def __init__(self) -> None:
        self.caught: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.caught.add("tcp")
        with suppress(OSError, ValueError):
            line = (await reader.readline()).decode("latin-1").split(" ")
            if len(line) == 3:
                self.caught.add(line[1].strip("/").rpartition("-")[0])
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    def take(self) -> list[str]:
        """What came since the last look."""
        caught, self.caught = sorted(self.caught), set()
        return caught


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, traps: Traps) -> None:
        self._traps = traps

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._traps.caught.add("udp")


@asynccontextmanager
async def trapping() -> AsyncIterator[Traps]:
    traps, loop = Traps(), asyncio.get_running_loop()
    servers = [await asyncio.start_server(traps.serve, each, PORT) for each in TRAPS]
    datagrams = [
        (await loop.create_datagram_endpoint(lambda: _Datagrams(traps), local_addr=(each, PORT)))[0]
        for each in TRAPS
    ]
    yield traps
    for server in servers:
        server.close()
    for transport in datagrams:
        transport.close()


@asynccontextmanager
async def site() -> AsyncIterator[None]:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/hop":
            raise web.HTTPFound(request.query["to"])
        if request.path == "/ok":
            return web.Response(text="reached")
        if request.path == "/":
            return web.Response(text=PAGE, content_type="text/html")
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, SITE, 80).start()
    yield
    await runner.cleanup()


class Wire:
    """All packets of all devices."""

    def __init__(self) -> None:
        every = socket.htons(0x0003)  # linux/if_ether.h: ETH_P_ALL
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, every)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.setblocking(False)

    def take(self) -> dict[str, list[str]]:
        """Since the last look: datagrams of UDP anywhere, and what left the machine, by whither."""
        seen: dict[str, list[str]] = {"datagrams": [], "left": []}
        with suppress(BlockingIOError):
            while True:
                packet, (device, protocol, *_) = self._socket.recvfrom(1500)
                if protocol not in (0x0800, 0x86DD):
                    continue
                four = protocol == 0x0800
                upper = packet[9] if four else packet[6]
                source, target = (
                    (packet[12:16], packet[16:20]) if four else (packet[8:24], packet[24:40])
                )
                body = packet[(packet[0] & 15) * 4 if four else 40 :]
                family = socket.AF_INET if four else socket.AF_INET6
                way = " to ".join(socket.inet_ntop(family, each) for each in (source, target))
                told = f"{device} {upper} {way} {body!r}"
                if upper == socket.IPPROTO_UDP:
                    seen["datagrams"].append(told)
                if device == DEVICE:
                    seen["left"].append(told)
        return seen


async def without_walls() -> None:
    """The same page in the same browser, as Playwright starts it."""
    flags = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=find_browser(None), args=flags)
        view = await browser.new_page()
        with suppress(Error):
            await view.goto(f"http://{SITE}/", wait_until="commit")
            await view.wait_for_selector("#done", state="attached", timeout=30_000)
        await browser.close()


async def crawled(home: Path) -> list[Any]:
    """The items of a crawl, which is let through to no private network."""
    definition, items = home / "attack.toml", home / "items.jsonl"
    definition.write_text(RULE)
    arguments = ["run", str(definition), "--data", str(home / "data"), "-o", str(items)]
    crawler = await asyncio.create_subprocess_exec(sys.executable, "-m", "crawler", *arguments)
    async with asyncio.timeout(90):
        assert await crawler.wait() == 0
    return [json.loads(line) for line in items.read_text().splitlines()]


async def main(home: Path) -> None:
    async with trapping() as traps, site():
        wire = Wire()
        items = await crawled(home)
        within = {"caught": traps.take(), **wire.take()}
        await without_walls()
        await asyncio.sleep(0.5)  # for what is under way yet
        without = {"caught": traps.take(), **wire.take()}
    print(json.dumps({"without": without, "within": within, "items": items}))


if __name__ == "__main__":
    os.environ["HOME"] = sys.argv[1]
    asyncio.run(main(Path(sys.argv[1])))
