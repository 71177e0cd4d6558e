"""A page of the built site in Chromium. Tests are skipped, with a line that says so, where there is no Chromium."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the extra `browser`")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need Chromium, and none is installed"),
]
OFF = ("gpu", "quic", "background-networking", "component-update", "sync")
FLAGS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in OFF)]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    "The address of the site, served on loopback."
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def tab(browser, address, page="index.html", **options):
    "A page in a fresh profile; afterwards, nothing may have gone wrong in it nor been fetched from elsewhere."
    options = {"locale": "en-GB", "viewport": {"width": 1300, "height": 900}} | options
    context = browser.new_context(**options)
    opened, trouble, host = context.new_page(), [], urlsplit(address).netloc

    def watch(event, wrong, say):
        opened.on(event, lambda found: wrong(found) and trouble.append(say(found)))

    watch("console", lambda message: message.type in ("error", "warning"), lambda message: message.text)
    watch("pageerror", lambda error: True, str)
    watch("requestfailed", lambda r: "ERR_ABORTED" not in r.failure, lambda r: f"{r.url}: {r.failure}")
    watch("response", lambda answer: answer.status >= 400, lambda answer: f"{answer.status} {answer.url}")
    watch("request", lambda r: urlsplit(r.url).netloc not in (host, ""), lambda r: f"off the site: {r.url}")
    opened.goto(address + page)
    yield opened
    context.close()
    assert not trouble, trouble
