"""The page in a real browser, beside the Python pipeline: the same numbers, and how long they take.

    python studies/speed/page.py PHOTOS same --count 1000
    python studies/speed/page.py PHOTOS speed
    python studies/speed/page.py PHOTOS access

PHOTOS is a folder of photos, below which JPEGs are looked for. Needs a Chromium. Adds its rows to
results/speed/page.csv, or replaces them.
"""

from __future__ import annotations

import base64
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from axe_playwright_python.sync_playwright import Axe
from browser import BROWSERS, installed, served
from engine import Row, jpeg, write
from playwright.sync_api import Browser, Page, sync_playwright

from facegender import FaceAnalyzer
from facegender.lab.study import study_parser
from facegender.progress import track

REPEATS = 5
#: A person has not chosen a photo sooner.
PAUSE_MS = 2000
WIDTHS = (360, 820, 1280)

OPEN = """async url => {
  const { Analyzer } = await import(url + "engine.js");
  window.analyzer = await Analyzer.open();
  return analyzer.threads;
}"""
ANALYZE = """async photo => {
  const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
  const began = performance.now();
  const answer = await analyzer.analyze(new Blob([bytes]));
  return { ...answer, took: performance.now() - began };
}"""


def main() -> None:
    parser = study_parser(__doc__, "speed/page.csv")
    parser.add_argument("photos", type=Path)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--count", type=int, default=1000, help="photos of `same`")
    arguments = parser.parse_args()
    every = sorted(map(str, arguments.photos.rglob("*.jpg")))
    photos = random.Random(0).sample(every, min(arguments.count, len(every)))
    path = installed()
    if path is None:
        raise SystemExit(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for part in arguments.parts:
            rows = PARTS[part](browser, photos)
            counted = f" --count {arguments.count}" if part == "same" else ""
            write(arguments.output, rows, f"python studies/speed/page.py PHOTOS {part}{counted}")
        browser.close()


def same(browser: Browser, photos: list[str]) -> list[Row]:
    """The largest differences from Python's answers."""
    analyzer = FaceAnalyzer()
    faces = disagreements = 0
    apart: dict[str, list[float]] = {"box": [0.0], "p_male": [0.0]}
    asked = []
    with served() as url:
        page = browser.new_page()
        page.goto(url + "models.json")
        page.evaluate(OPEN, url)
        page.on("request", lambda request: asked.append(request.url))
        for photo in track(photos, "photos"):
            content = Path(photo).read_bytes()
            ours, theirs = _analyze(page, content), analyzer.analyze(content)
            if len(ours["faces"]) != len(theirs.faces):
                disagreements += 1
                continue
            for face, other in zip(ours["faces"], theirs.faces, strict=True):
                apart["box"].append(float(np.abs(np.subtract(face["box"], other.face.box)).max()))
                apart["p_male"].append(abs(face["p_male"] - other.prediction.p_male))
                faces += 1
        page.close()
    many = f"of {faces} faces in {len(photos)} photos"
    return [
        (f"largest difference of a box from Python's, pixels, {many}", max(apart["box"]), "bar", 2.0),
        (f"largest difference of p_male from Python's, {many}", max(apart["p_male"]), "bar", 0.01),
        (
            f"share of faces with p_male within 0.01 of Python's, {many}",
            _within(apart["p_male"], 0.01),
            "within 0.001",
            _within(apart["p_male"], 0.001),
        ),
        (f"photos with another number of faces than in Python, of {len(photos)}", disagreements, "bar", 0),
        (f"requests while {len(photos)} photos were analysed", len(asked), "bar", 0),
    ]


def speed(browser: Browser, photos: list[str]) -> list[Row]:
    """From a cold start to the first answer; then photos of several sizes, beside Python with as many threads."""
    small = [Path(photo).read_bytes() for photo in photos[:100]]
    wall = _wall(photos)
    sizes = {
        "250 x 250 pixels": small,
        "640 x 480 pixels": [jpeg(wall.crop((k * 200, 0, k * 200 + 640, 480))) for k in range(10)],
        "12 megapixels": [jpeg(wall)] * 5,
    }
    rows: list[Row] = []
    ready, hasty, calm = [], [], []
    with tempfile.TemporaryDirectory() as folder, served() as url:
        chosen = Path(folder, "chosen.jpg")
        chosen.write_bytes(sizes["640 x 480 pixels"][0])
        for times, pause in [(hasty, 0), (calm, PAUSE_MS)] * REPEATS:
            context = browser.new_context()  # nothing is cached
            page = context.new_page()
            began = time.perf_counter()
            page.goto(url)
            page.locator("#status", has_text="Ready.").wait_for()
            ready.append(1000 * (time.perf_counter() - began))
            page.wait_for_timeout(pause)
            began = time.perf_counter()
            page.set_input_files("#files", chosen)
            page.wait_for_selector("#rows tbody tr", state="attached")
            times.append(1000 * (time.perf_counter() - began))
            context.close()
    rows += [
        ("from opening the page to ready, nothing cached, ms", statistics.median(ready), "slowest", max(ready)),
        ("from choosing a photo at once, 640 x 480, to its answer, ms", statistics.median(hasty), "bar, ms", 2000),
        ("the same, two seconds after the page was ready, ms", statistics.median(calm), "bar, ms", 2000),
    ]
    for isolated in (True, False):
        with served(isolated) as url:
            page = browser.new_page()
            page.goto(url + "models.json")
            threads = page.evaluate(OPEN, url)
            analyzer = FaceAnalyzer(threads=threads)
            for size, contents in sizes.items():
                ours, theirs = [], []
                for content in contents:
                    ours.append(_analyze(page, content)["took"])
                    began = time.perf_counter()
                    analyzer.analyze(content)
                    theirs.append(1000 * (time.perf_counter() - began))
                what = f"{size}, {threads} thread{'s' if threads > 1 else ''}, ms a photo"
                rows.append((what, statistics.median(ours), "Python, ms", statistics.median(theirs)))
            page.close()
    return rows


def access(browser: Browser, photos: list[str]) -> list[Row]:
    """axe's rules (labels, names, contrast, order and so on) and the width of the page, with and without answers."""
    checker, violations, passes, wide = Axe(), 0, 0, 0
    with served() as url:
        for theme in ("light", "dark"):
            for width in WIDTHS:
                page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 800})
                page.goto(url)
                page.locator("#status", has_text="Ready.").wait_for()
                for chosen in ([], photos[:3]):
                    if chosen:
                        page.set_input_files("#files", chosen)
                        page.locator("#status", has_text="photos done").wait_for()
                    found = checker.run(page)
                    violations += found.violations_count
                    passes += len(found.response["passes"])
                    wide += page.evaluate("document.documentElement.scrollWidth > innerWidth")
                page.close()
    what = f"at {', '.join(map(str, WIDTHS))} pixels, light and dark, empty and with answers"
    return [
        (f"accessibility (axe): violations, {what}", violations, "rules passed, all views", passes),
        (f"views that are wider than the window, {what}", wide, "bar", 0),
    ]


def _analyze(page: Page, content: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(ANALYZE, base64.b64encode(content).decode())
    return answer


def _within(differences: list[float], bound: float) -> float:
    return float(np.mean(np.array(differences[1:]) <= bound))


def _wall(photos: list[str]) -> PIL.Image.Image:
    """Twelve megapixels of photos, side by side."""
    wall = PIL.Image.new("RGB", (4000, 3000))
    for k in range(16 * 12):
        with PIL.Image.open(photos[k % len(photos)]) as photo:
            wall.paste(photo.convert("RGB").resize((250, 250)), (k % 16 * 250, k // 16 * 250))
    return wall


PARTS = {"same": same, "speed": speed, "access": access}

if __name__ == "__main__":
    main()
