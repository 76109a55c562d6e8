"""`predict --report`: the page with all faces, its pictures, and what people do with it in a real browser."""

import json
import re
import tarfile
import tracemalloc
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import PIL.Image
import pytest

from facegender.errors import OutputError
from facegender.inference.pictures import is_made
from facegender.sheet import check_report, write_report
from facegender.sheet.page import link_to
from facegender.sheet.thumbnails import ACROSS, SIDE
from facegender.sources import LocalFile

HOSTILE = "cut & <b>it's 100%.jpg"


def face(x, p_male, label, quality=0.9, side=40):
    return {"box": [x, 20, side, side], "score": 0.9, "quality": quality, "p_male": p_male, "label": label}


def record(path, *faces, error=None):
    size = {"width": 200, "height": 100} if error is None else {"width": None, "height": None}
    return {"path": str(path), **size, "weight": 1.0, "faces": list(faces), "error": error}


@pytest.fixture
def pairs(save, tmp_path):
    """Two photos of two faces (blue: male, red: female, green: uncertain), one without, and a broken one."""
    image = np.full((100, 200, 3), 90, np.uint8)
    image[20:60, 20:60], image[20:60, 120:160] = (250, 0, 0), (0, 0, 250)
    two = save("photos/two.png", image)
    image[20:60, 20:60] = (0, 250, 0)
    one = save("photos/a b#.png", image)
    broken = tmp_path / "photos" / HOSTILE
    broken.touch()
    error = {"kind": "not_an_image", "message": f"{broken} is empty (0 bytes)"}
    found = {
        two: record(two, face(120, 0.98, "male"), face(20, 0.02, "female", 0.4)),
        one: record(one, face(20, 0.6, "uncertain", 0.7), face(120, 0.9701, "male")),
        broken: record(broken, error=error),
        (none := save("photos/none.png", image)): record(none),
    }
    return [(LocalFile(str(path), str(path)), each) for path, each in found.items()]


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"))[1])


def test_faces_in_order_with_pictures_and_links(pairs, tmp_path):
    folder = tmp_path / "re port"
    check_report(folder)
    page = write_report(folder, iter(pairs), terms="model <tiny>: MIT")
    data = data_of(page)
    assert [each[2] for each in data["faces"]] == [0.02, 0.6, 0.9701, 0.98]
    assert [each[5] for each in data["faces"]] == ["female 98 %", "uncertain", "male 97 %", "male 98 %"]
    [sheet] = data["sheets"]
    with PIL.Image.open(folder / sheet) as image:
        assert image.size == (4 * SIDE, SIDE)
        middles = [image.getpixel((SIDE * place + SIDE // 2, SIDE // 2)) for place in range(4)]
    assert [int(np.argmax(middle)) for middle in middles] == [0, 1, 2, 2]
    assert is_made(str(folder / sheet))
    for photo, link in data["photos"]:
        assert (folder / unquote(link)).resolve() == Path(photo)
    text = page.read_text("utf-8")
    assert "<b>it" not in text
    assert "model &lt;tiny&gt;: MIT" in text
    assert "likely to be perceived" in text
    assert "4 faces in 4 photos" in text


def test_sheets_are_replaced_and_no_others(pairs, tmp_path):
    folder = tmp_path / "report"
    check_report(folder)
    write_report(folder, pairs)
    before = set(folder.iterdir())
    mine = folder / f"sheet-{'0' * 12}.faces.jpg"
    mine.write_bytes(b"mine")
    check_report(folder)
    write_report(folder, pairs[:1])
    after = set(folder.iterdir())
    assert mine in after
    assert before & after == {folder / "index.html"}
    assert len(after) == 3


def test_a_page_of_the_user_is_refused_before_the_run(run, pairs, tmp_path):
    page = tmp_path / "site" / "index.html"
    page.parent.mkdir()
    page.write_text("<h1>mine</h1>")
    error = run(tmp_path / "photos", "-o", tmp_path / "out.csv", "--report", page.parent).exception
    assert isinstance(error, OutputError)
    assert page.read_text() == "<h1>mine</h1>"
    assert not (tmp_path / "out.csv").exists()


def test_a_failure_leaves_the_former_report(pairs, tmp_path):
    folder = tmp_path / "report"
    check_report(folder)
    page = write_report(folder, pairs)
    before = page.read_bytes()

    def broken():
        yield pairs[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_report(folder, broken())
    assert page.read_bytes() == before
    assert all((folder / sheet).exists() for sheet in data_of(page)["sheets"])


def test_many_faces_and_photos_that_changed(pairs, save, tmp_path):
    folder = tmp_path / "report"
    check_report(folder)
    page = write_report(folder, pairs * 100)
    data = data_of(page)
    assert len(data["faces"]) == 400
    assert len(data["sheets"]) == 2 == -(-400 // ACROSS**2)
    with PIL.Image.open(folder / data["sheets"][1]) as sheet:
        assert sheet.size == (ACROSS * SIDE, 9 * SIDE)
    save("photos/two.png", np.zeros((50, 50, 3), np.uint8))
    Path(pairs[1][0].path).unlink()
    data = data_of(write_report(folder, pairs))
    assert [each[6] for each in data["faces"]] == [False] * 4


def test_memory_hardly_grows_with_the_faces(pairs, tmp_path):
    source, about = pairs[0]
    Path(source.path).unlink()
    check_report(tmp_path / "report")

    def peak(count):
        tracemalloc.start()
        page = write_report(tmp_path / "report", ((source, about) for _ in range(count)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert f"{2 * count:,} faces in {count:,} photos" in page.read_text("utf-8")
        return most

    peak(2)
    more = min(peak(3000) for _ in range(2)) - min(peak(1000) for _ in range(2))
    assert more < 2000 * 150  # of two faces each, of which the page has 250 bytes


@pytest.mark.parametrize("side", [1, 40, 900])
def test_faces_at_edges_and_of_any_size(side, pairs, tmp_path):
    check_report(tmp_path / "report")
    source, about = pairs[0]
    about = about | {"faces": [face(-10, 0.5, "uncertain", side=side), face(199, 0.5, "uncertain", side=side)]}
    data = data_of(write_report(tmp_path / "report", [(source, about)]))
    assert [each[6] for each in data["faces"]] == [True, True]


@pytest.fixture
def photo(save):
    """A photo of one face, as the tiny detector sees it."""
    image = np.full((110, 120, 3), 90, np.uint8)
    image[30:80, 40:90] = (255, 0, 0)
    return save("photos/square.png", image)


def test_a_run_a_finished_run_and_an_archive(run, photo, tmp_path):
    """The same page in every way; a finished run is not analysed again for it."""
    out, pages = tmp_path / "out.csv", []
    pages.append(run(photo, "--format", "csv", "--report", tmp_path / "a"))
    pages.append(run(photo, "-o", out, "--report", tmp_path / "b"))
    assert f"report: {tmp_path / 'b' / 'index.html'}" in pages[1].stderr
    done = run(photo, "-o", out, "--report", tmp_path / "c")
    assert "holds the 1 photo already" in done.stderr
    assert [each.exit_code for each in [*pages, done]] == [0, 0, 0]
    texts = {(tmp_path / name / "index.html").read_text("utf-8") for name in "abc"}
    assert len(texts) == 1
    assert "model tiny: MIT" in texts.pop()
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photo, "in.png")
    assert run(tmp_path / "photos.tar", "--report", tmp_path / "d").exit_code == 0
    data = data_of(tmp_path / "d" / "index.html")
    assert data["photos"] == [[f"{tmp_path / 'photos.tar'}/in.png", None]]
    assert data["faces"][0][6]


def test_the_report_in_the_folder_of_the_photos_is_not_analysed(run, photo):
    assert run(photo.parent, "--report", photo.parent).exit_code == 0
    again = run(photo.parent, "--report", photo.parent, "--format", "jsonl")
    assert len(again.stdout.splitlines()) == 1
    assert "made by facegender 1" in again.stderr


def test_links(tmp_path):
    name = str(tmp_path / "\udcff ü?.jpg")
    assert link_to(LocalFile(name, name), tmp_path / "r") == "./../%FF%20%C3%BC%3F.jpg"
    assert link_to(LocalFile("a.jpg", "a.jpg"), Path("r")) == "./../a.jpg"


@pytest.fixture
def shown(browser, pairs, tmp_path):
    """The page opened as a file, on which nothing goes wrong."""
    folder = tmp_path / "re port"
    check_report(folder)
    write_report(folder, pairs)
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("requestfailed", lambda asked: wrong.append(asked.url))
    page.on("request", lambda asked: asked.url.startswith("file:") or wrong.append(asked.url))
    page.goto((folder / "index.html").as_uri())
    yield page
    context.close()
    assert wrong == []


def test_filters_counts_and_links_in_a_browser(shown, pairs):
    from playwright.sync_api import expect

    def answers(*expected):
        expect(shown.locator("#faces .answer")).to_have_text(list(expected))

    answers("female 98 %", "uncertain", "male 97 %", "male 98 %")
    expect(shown.locator("#shown")).to_have_text("4 faces")
    expect(shown.locator(".counts dd")).to_have_text(["1", "2", "1"])
    count, name = (shown.locator(f".counts {kind}").first.bounding_box() for kind in ("dd", "dt"))
    assert count["y"] + count["height"] <= name["y"]
    shown.get_by_label("Answer", exact=True).select_option("male")
    answers("male 97 %", "male 98 %")
    expect(shown.locator("#shown")).to_have_text("2 of 4 faces")
    shown.get_by_label("Order").select_option("male first")
    answers("male 98 %", "male 97 %")
    shown.get_by_label("Photo").fill("TWO")
    answers("male 98 %")
    shown.get_by_label("Quality").select_option("low, below 0.5")
    expect(shown.locator("#none")).to_have_text("No face fits the filter.")
    shown.get_by_label("Answer", exact=True).select_option("all")
    answers("female 98 %")
    expect(shown.locator("#faces a")).to_have_text(["two.png"])
    errors = shown.locator("#errors li")
    expect(errors).to_have_count(1)
    expect(errors).to_contain_text(f"not_an_image: {pairs[2][0].path} is empty")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    shown.locator("#faces a").focus()
    shown.keyboard.press("Enter")
    shown.wait_for_url(Path(pairs[0][0].path).as_uri())


def test_the_page_is_accessible(shown):
    from axe_playwright_python.sync_playwright import Axe

    shown.locator("#faces li").first.wait_for()
    found = Axe().run(shown)
    assert found.response["violations"] == []


def test_thousands_of_faces_are_filled_in_as_they_are_reached(browser, pairs, tmp_path):
    check_report(tmp_path / "r")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(write_report(tmp_path / "r", pairs[:2] * 500).as_uri())
    page.locator("#faces li").first.wait_for()
    assert page.locator("#faces li").count() < 1000
    page.locator("#order").select_option("down")
    page.evaluate("document.querySelector('#faces ul:last-child').scrollIntoView()")
    page.locator("#faces ul:last-child li.low").first.wait_for()
    assert page.locator("#shown").inner_text() == "2,000 faces"
    page.close()


def test_the_focus_does_not_go_under_the_filters(browser, pairs, tmp_path):
    check_report(tmp_path / "r")
    page = browser.new_page(viewport={"width": 1180, "height": 800})
    page.goto(write_report(tmp_path / "r", pairs[:2] * 100).as_uri())
    page.locator("#faces li").first.wait_for()
    page.evaluate("window.scrollTo(0, 1500)")
    page.locator("#faces a").nth(100).focus()
    above = """() => document.activeElement.closest("li").getBoundingClientRect().top
      - document.querySelector(".filters").getBoundingClientRect().bottom"""
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(above) >= 0
    page.close()
