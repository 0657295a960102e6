"""How long a reader waits for the largest chapter, on a slow phone with a slow line, in headless Chromium.

    make book && python benchmarks/page.py

The phone is the one of Lighthouse and of Chrome's developer tools ("Slow 4G", until 2024 "Fast 3G", with DevTools
throttling): a processor 4 times slower than this machine's, 562.5 ms for each request, 1.6 Mbit/s less a tenth. The
cache is empty. Times are fractions of the two seconds within which a page should be readable; the median of several
loads counts. "First words" is the first contentful paint: text in the page, style sheet applied. "All words" is when
the page's text is parsed and laid out, "largest" the largest contentful paint of what is seen without scrolling.
"""

from __future__ import annotations

import gzip
import statistics
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from ratios import store

from workshop import browser
from workshop.book import Book

LIMIT = 2000  # ms
LOADS = 7
LINE = {
    "offline": False,
    "latency": 562.5,
    "downloadThroughput": 0.9 * 1.6 * 2**20 / 8,
    "uploadThroughput": 0.9 * 750 * 2**10 / 8,
}
PHONE = {"viewport": {"width": 360, "height": 640}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}

TIMES = """() => new Promise((done) => {
  new PerformanceObserver((list) => done({
    "first words": performance.getEntriesByName("first-contentful-paint")[0].startTime,
    "all words": performance.getEntriesByType("navigation")[0].domInteractive,
    "largest": list.getEntries().at(-1).startTime,
  })).observe({type: "largest-contentful-paint", buffered: true});
})"""


def largest_chapter(book: Book) -> str:
    """The page with most bytes of its own, as sent."""
    sizes = {page: len(gzip.compress((book.site / f"{page}.html").read_bytes())) for page in book.toc}
    return max(sizes, key=sizes.get)


def load(chromium: Browser, address: str) -> dict[str, float]:
    """Milliseconds from the request until each moment, in a browser that has seen nothing yet."""
    context = chromium.new_context(**PHONE)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", LINE)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(address, timeout=120_000)
    times = page.evaluate(TIMES)
    context.close()
    return times


def main() -> int:
    """Measure and keep the fractions for the page *Benchmarks*."""
    book = Book(Path(__file__).parents[1])
    if not book.site.is_dir():
        print("page: no site in _build/html; run: make book", file=sys.stderr)
        return 1
    if browser.find_chromium() is None:
        print("page: no Chromium here, nothing measured")
        return 0
    chapter = largest_chapter(book)
    with browser.serve(book.site) as address, sync_playwright() as playwright:
        chromium = browser.launch(playwright)
        loads = [load(chromium, f"{address}{chapter}.html") for _ in range(LOADS)]
        chromium.close()
    rows = {"two seconds": 1.0}
    rows |= {moment: statistics.median(times[moment] for times in loads) / LIMIT for moment in loads[0]}
    store({"the largest chapter on a slow phone (processor 4 times slower, 1.6 Mbit/s, 562 ms a request)": rows})
    print(f"page: {chapter}: " + ", ".join(f"{row} {ratio * LIMIT / 1000:.2f} s" for row, ratio in rows.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
