"""What people do with the page, in a real browser: photos in, answers out, by mouse, by keyboard and by webcam."""

from __future__ import annotations

import base64
import csv
import io
import json

import numpy as np
import PIL.Image
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from typer.testing import CliRunner

from facegender.cli import app
from facegender.faces.types import PhotoResult, Prediction
from facegender.formats.records import FACES
from facegender.formats.registry import by_name
from facegender.inference.classifier import prediction_for
from facegender.weights import DEFAULT, load_card

#: A file with its bytes reaches the page as if it were dropped or pasted.
GIVE = """([type, name, bytes, place]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type: "image/png" }));
  const event = type === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.querySelector(place).dispatchEvent(event);
}"""

#: The webcam sees this photo.
FILM = """async (bytes) => {
  const photo = await createImageBitmap(new Blob([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))]));
  const canvas = Object.assign(document.createElement("canvas"), { width: photo.width, height: photo.height });
  const draw = () => canvas.getContext("2d").drawImage(photo, 0, 0);
  draw();
  setInterval(draw, 40);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream();
}"""

#: Photos wait for analysis until the next `held.shift()()`.
HOLD = """() => {
  const post = Worker.prototype.postMessage;
  window.held = [];
  Worker.prototype.postMessage = function (...all) {
    if (all[0].call === "analyze") held.push(() => post.apply(this, all));
    else post.apply(this, all);
  };
  window.release = () => {
    Worker.prototype.postMessage = post;
    for (const each of held) each();
  };
}"""


#: Photos are answered at once, with one face each, until `restore()`.
STUB = """() => {
  const post = Worker.prototype.postMessage;
  window.restore = () => void (Worker.prototype.postMessage = post);
  Worker.prototype.postMessage = function (...all) {
    const { id, call } = all[0];
    if (call !== "analyze") return post.apply(this, all);
    const landmarks = [[20, 20], [30, 20], [25, 25], [20, 30], [30, 30]];
    const face = { box: [15, 15, 20, 20], score: 0.9, quality: 0.6, landmarks, p_male: 0.5 };
    const size = { width: 64, height: 48 };
    const answer = { ...size, faces: [face], error: null, notes: [], ms: { total: 1 }, model: "research" };
    setTimeout(() => this.onmessage({ data: { id, answer } }));
  };
}"""


@pytest.fixture(scope="module")
def loaded(browser, page_url):
    """The page once its networks are loaded, and what has gone wrong on it so far."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write", "camera"])
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda asked: asked.url.startswith((page_url, "blob:", "data:")) or wrong.append(asked.url))
    # Playwright takes file choosers while somebody listens, and would begin too late for a key that follows at once.
    page.on("filechooser", lambda _: None)
    page.goto(page_url)
    expect(page.locator("#status")).to_have_text("Ready.", timeout=30_000)
    yield page, wrong
    context.close()


@pytest.fixture
def page(loaded):
    """The page without photos; whatever a test does there, nothing goes wrong and nothing leaves."""
    page, wrong = loaded
    yield page
    if page.locator("#clear").is_visible():
        page.click("#clear")
    page.locator("#error").fill("1")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert wrong == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A portrait whose name looks like a formula, two people turned upright by EXIF, nobody, and a text file."""
    skimage_data = pytest.importorskip("skimage.data")
    folder, astronaut = tmp_path_factory.mktemp("photos"), PIL.Image.fromarray(skimage_data.astronaut())
    two = PIL.Image.new("RGB", (700, 400), "gray")
    two.paste(astronaut.crop((120, 0, 360, 240)).resize((380, 380)), (10, 10))
    two.paste(astronaut.crop((150, 30, 300, 180)).resize((60, 60)), (500, 100))
    paths = [folder / name for name in ("=1+1, a.png", "two.jpg", "gray.png", "notes.txt")]
    astronaut.save(paths[0])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # it lies on its side
    two.rotate(90, expand=True).save(paths[1], quality=95, exif=exif)
    PIL.Image.new("RGB", (300, 200), "gray").save(paths[2])
    paths[3].write_text("no photo")
    return paths


def choose(page, *paths):
    with page.expect_file_chooser() as chooser:
        page.click("#choose")
    chooser.value.set_files(paths)
    done = f"{len(paths)} photos done" if len(paths) > 1 else paths[0].name
    expect(page.locator("#status")).to_contain_text(done, timeout=20_000)


def give(page, how, path, name, place="main"):
    page.evaluate(GIVE, [how, name, base64.b64encode(path.read_bytes()).decode(), place])


def labels(page):
    return page.locator("#rows tbody .answer").all_text_contents()


def test_several_photos_and_what_is_none(page, photos):
    choose(page, *photos)
    expect(page.locator("#status")).to_contain_text("3 faces in 4 photos")
    assert page.locator(".photo h3").all_text_contents() == [path.name for path in photos]
    assert page.locator("#rows tbody th").all_text_contents() == ["=1+1, a.png", "two.jpg", "two.jpg"]
    first, second, third, last = page.locator(".photo").all()
    expect(first).to_contain_text("512 × 512 pixels")
    upright = second.locator(".frame").bounding_box()
    assert upright["width"] / upright["height"] == pytest.approx(700 / 400, rel=0.02)
    assert second.locator(".box").nth(1).bounding_box()["x"] > upright["x"] + 0.7 * upright["width"]
    expect(third).to_contain_text("No face found")
    expect(last).to_contain_text("notes.txt is not a picture that this browser can read")
    expect(first.get_by_role("button", name="Face 1: uncertain, 78 % male")).to_be_visible()
    expect(first.locator(".evidence")).to_contain_text("validation faces of this quality and probability")
    box = first.locator(".box").bounding_box()
    frame = first.locator(".frame").bounding_box()
    scale = frame["width"] / 512
    assert box["x"] - frame["x"] == pytest.approx(179 * scale, abs=3 * scale)
    assert box["width"] == pytest.approx(91 * scale, abs=3 * scale)
    page.click("#clear")
    expect(page.locator("#results")).to_be_hidden()
    assert page.locator("#count-uncertain").text_content() == "0"


def test_counts_stand_above_their_names(page):
    assert page.locator(".counts div > dt + dd").count() == 3
    count, name = (page.locator(f".counts {kind}").first.bounding_box() for kind in ("dd", "dt"))
    assert count["y"] + count["height"] <= name["y"]


def test_dropped_and_pasted(page, photos):
    give(page, "drop", photos[0], "dropped.png")
    expect(page.locator("#status")).to_have_text("1 face found in dropped.png: 1 uncertain.")
    give(page, "paste", photos[0], "image.png")
    expect(page.locator(".photo h3").nth(1)).to_have_text("pasted 1.png")
    expect(page.locator("#status")).to_have_text("1 face found in pasted 1.png: 1 uncertain.")
    expect(page.locator("#summary")).to_have_text("2 faces in 2 photos: 2 uncertain.")
    give(page, "paste", photos[0], "image.png", "#filter-photo")  # where text is meant
    give(page, "paste", photos[0], "image.png", "#error")
    expect(page.locator(".photo h3").nth(2)).to_have_text("pasted 2.png")
    expect(page.locator("#summary")).to_have_text("3 faces in 3 photos: 3 uncertain.")


def test_what_was_opened_or_closed_stays_so(page, photos):
    choose(page, photos[0])
    page.get_by_role("button", name=photos[0].name).first.click()
    expect(page.locator(".photo.open")).to_have_count(0)
    give(page, "drop", photos[2], "second.png")
    expect(page.locator("#status")).to_have_text("No face found in second.png.")
    expect(page.locator(".photo.open h3")).to_have_text(["second.png"])
    page.locator("main").dispatch_event("drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    expect(page.locator(".photo.open h3")).to_have_text(["second.png"])
    choose(page, *[photos[2]] * 5)
    expect(page.locator(".photo.open")).to_have_count(0)
    page.get_by_role("button", name="second.png").click()
    give(page, "drop", photos[2], "last.png")
    expect(page.locator("#summary")).to_contain_text("8 photos")
    expect(page.locator(".photo.open h3")).to_have_text(["second.png"])


def test_only_photos_that_were_analysed_are_summed_up(page, photos):
    page.evaluate(HOLD)
    for name in ("a.png", "b.png", "c.png"):
        give(page, "drop", photos[0], name)
    summary = page.locator("#summary")
    expect(page.locator(".photo")).to_have_count(3)
    expect(summary).to_be_empty()
    page.evaluate("held.shift()()")
    expect(summary).to_have_text("1 face in 1 photo: 1 uncertain.")
    page.evaluate("release()")
    expect(page.locator("#status")).to_have_text("3 photos done. 3 faces in 3 photos: 3 uncertain.")


def test_a_photo_that_failed_is_shown_once_it_is_analysed(page, photos):
    page.evaluate(
        """() => {
          const post = Worker.prototype.postMessage;
          Worker.prototype.postMessage = function (...all) {
            if (all[0].call !== "analyze") return post.apply(this, all);
            Worker.prototype.postMessage = post;
            throw new Error("no memory");
          };
        }"""
    )
    choose(page, photos[0])
    expect(page.locator(".photo.failed .caption")).to_have_text("=1+1, a.png could not be analysed: no memory")
    page.get_by_role("radio", name="open").check()
    expect(page.locator(".photo .box")).to_be_visible()
    assert page.locator(".photo.failed").count() == 0
    page.get_by_role("radio", name="research").check()
    expect(page.locator("#model-now")).to_have_text("research")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("IMG_1.HEIC", "IMG_1.HEIC is a HEIC photo, which this browser cannot read: save it as JPEG first"),
        ("heifer.png", "heifer.png is not a picture that this browser can read, or it is damaged"),
        ("cut.png", "cut.png is not a picture that this browser can read, or it is damaged"),
    ],
)
def test_errors_name_the_file_and_say_why(page, photos, tmp_path, name, why):
    path = tmp_path / name
    path.write_bytes(photos[0].read_bytes()[:40])
    choose(page, path)
    expect(page.locator("#status")).to_have_text(f"{why}.")
    expect(page.locator(".caption.failed")).to_have_text(why)
    assert page.locator(".photo .frame").count() == 0


def test_the_accepted_error_decides_without_new_inference(page, photos):
    choose(page, photos[0], photos[1])
    times = page.locator(".caption").all_text_contents()
    slider, steps = page.locator("#error"), load_card(DEFAULT).confidence_for_error
    assert slider.get_attribute("max") == str(len(steps) - 1)
    expect(page.locator("#error-now")).to_have_text("1 %")
    before = labels(page)
    slider.fill("4")
    assert "uncertain" not in labels(page)
    expect(page.locator("#uncertain")).to_have_text("0 of 3 faces uncertain.")
    expect(page.locator("#error-means")).to_contain_text("at most about 10 % are wrong")
    assert slider.get_attribute("aria-valuetext").replace("\xa0", " ") == "10 %"
    slider.fill("1")
    assert labels(page) == before
    assert page.locator("#count-uncertain").text_content() == str(before.count("uncertain"))
    assert page.locator(".caption").all_text_contents() == times


def test_the_files_are_those_of_the_python_tool(page, photos):
    choose(page, *photos)
    saved = {}
    for button in ("#save-json", "#save-csv"):
        with page.expect_download() as download:
            page.click(button)
        saved[download.value.suggested_filename] = download.value.path().read_text(encoding="utf-8")
    page.click("#copy")
    expect(page.locator("#status")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")

    records = [json.loads(line) for line in saved["faces.jsonl"].splitlines()]
    assert [record["path"] for record in records] == [path.name for path in photos]
    assert records[0].keys() == PhotoResult("").to_dict().keys()
    assert list(records[0]["faces"][0]) == ["box", "score", "quality", "landmarks", "p_male", "label"]
    assert records[3]["error"]["kind"] == "not_an_image"
    for record in records:
        record["weight"] = float(record["weight"])
        for face in record["faces"]:
            face["box"] = [float(value) for value in face["box"]]
            face |= {name: float(face[name]) for name in ("score", "quality", "p_male")}
    expected = io.StringIO()
    with by_name("csv").stream_writer(expected, FACES) as writer:
        for record in records:
            writer.write(record)
    assert saved["faces.csv"] == expected.getvalue()
    assert list(csv.reader(copied.splitlines(), delimiter="\t")) == list(csv.reader(io.StringIO(expected.getvalue())))


def test_answers_of_two_models_do_not_stand_in_one_file(page, photos):
    choose(page, photos[0], photos[1])
    page.evaluate(HOLD)
    page.get_by_role("radio", name="open").check()
    status = page.locator("#status")
    expect(status).to_have_text("2 photos to go")
    spoken = [page.locator("#uncertain"), page.locator("#shown")]
    for each in spoken:
        expect(each).to_have_attribute("aria-live", "off")
    page.evaluate("held.shift()()")
    expect(status).to_contain_text("found in =1+1, a.png")
    with page.expect_download() as download:
        page.click("#save-csv")
    expect(status).to_have_text("Saved faces.csv, without 1 photo still to be analysed.")
    rows = csv.DictReader(download.value.path().read_text("utf-8").splitlines())
    assert [row["path"] for row in rows] == ["=1+1, a.png"]
    page.click("#copy")
    expect(status).to_have_text("Copied, without 1 photo still to be analysed: paste it into a spreadsheet.")
    page.evaluate("release()")
    expect(status).to_contain_text("2 photos done")
    for each in spoken:
        expect(each).to_have_attribute("aria-live", "polite")
    page.get_by_role("radio", name="research").check()
    expect(page.locator("#model-now")).to_have_text("research")


def test_photos_that_were_cleared_do_not_count(page, photos):
    page.evaluate(HOLD)
    for name in ("a.png", "b.png"):
        give(page, "drop", photos[0], name)
    page.click("#clear")
    for name in ("c.png", "d.png"):
        give(page, "drop", photos[0], name)
    page.evaluate("release()")
    expect(page.locator("#status")).to_have_text("2 photos done. 2 faces in 2 photos: 2 uncertain.")


def test_thousands_of_photos_are_counted_now_and_then_and_loaded_where_they_are_seen(page):
    page.evaluate(STUB)
    page.evaluate(
        """() => {
          window.updates = 0;
          window.observer = new MutationObserver(() => (updates += 1));
          observer.observe(document.getElementById("summary"), { childList: true });
          const transfer = new DataTransfer();
          const picture = { type: "image/svg+xml" };
          const bytes = ['<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>'];
          for (let k = 0; k < 400; k++) transfer.items.add(new File(bytes, `${k % 2 ? "same" : k}.svg`, picture));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
        }"""
    )
    done = "400 photos done. 400 faces in 400 photos: 400 uncertain."
    expect(page.locator("#status")).to_have_text(done, timeout=60_000)
    assert page.evaluate("observer.disconnect(); restore(); updates") < 200
    assert page.locator(".photo h3", has_text="same (200).svg").count() == 1
    expect(page.locator("#shown")).to_have_text("400 faces, the first 25 shown")
    page.get_by_role("button", name="Show all 400 photos").click()
    last = page.locator(".photo img").last
    expect(page.locator(".photo img").nth(30)).to_have_js_property("naturalWidth", 64)
    expect(last).to_have_js_property("naturalWidth", 0)
    last.scroll_into_view_if_needed()
    expect(last).to_have_js_property("naturalWidth", 64)


def test_a_folder_is_dropped(page, photos, tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no photo")
    for name in ("10.png", "9.png", "more/9.png"):
        (folder / name).write_bytes(photos[2].read_bytes())
    client = page.context.new_cdp_session(page)

    def drop(*paths):
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            client.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})

    drop(folder, photos[2])
    expect(page.locator("#status")).to_have_text("4 photos done. No face in 4 photos.")
    assert page.locator(".photo h3").all_text_contents() == ["9.png", "10.png", "9 (2).png", "gray.png"]
    for path in (folder / "9.png", folder / "10.png", folder / "more" / "9.png"):
        path.unlink()
    drop(folder)
    expect(page.locator("#status")).to_have_text("There is no photo in the folder.")
    client.detach()


def test_a_browser_that_does_not_copy(page, photos):
    choose(page, photos[0])
    page.evaluate(
        "navigator.clipboard.writeText = () => Promise.reject(new Error()); document.execCommand = () => false"
    )
    page.click("#copy")
    expect(page.locator("#status")).to_have_text("The browser did not allow it: save the table as CSV.")
    page.evaluate("delete navigator.clipboard.writeText; delete document.execCommand")


def test_numbers_are_rounded_as_in_python(page, page_url):
    rng = np.random.default_rng(7)
    values = [0.25, 0.75, -0.25, 12.25, 0.05, 0.15, 2.675, 0.03125, 0.09375, 99.95, *rng.uniform(-50, 900, 300)]
    values += [float(value) / 32 for value in rng.integers(-900, 9000, 300)]
    asked = [[value, digits] for value in map(float, values) for digits in (1, 4)]
    script = "async ([url, asked]) => { const { rounded } = await import(url + 'records.js');"
    got = page.evaluate(script + "return asked.map(([v, d]) => rounded(v, d)); }", [page_url, asked])
    assert got == [round(value, digits) for value, digits in asked]


def test_answers_and_percentages_are_those_of_python(page, page_url):
    numbers = [0.03, 0.43, 0.57, 0.97, 0.9999, 0.5, 0.0, 1.0]
    bounds = [0.5, 0.57, 0.5701, 0.97, 0.9701, 1.0]
    script = "async ([url, numbers, bounds]) => { const { label, probable } = await import(url + 'words.js');"
    script += "return numbers.map((p) => [probable(p), ...bounds.map((b) => label({ p_male: p, quality: 1 }, b))]); }"
    for p, (said, *answers) in zip(numbers, page.evaluate(script, [page_url, numbers, bounds]), strict=True):
        side, share = str(Prediction(p, "male" if p >= 0.5 else "female")).split(" ", 1)
        assert said.replace("\xa0", " ") == f"{share} {side}"
        assert answers == [prediction_for(p, bound).label for bound in bounds]


def test_why_a_face_is_hard_to_judge(page, page_url):
    script = "async (url) => { const { warning } = await import(url + 'words.js');"
    script += "return [[90, 0], [20, 0], [20, 0.3], [90, 0.3], [90, 0.5]]"
    script += ".map(([side, quality]) => warning({ box: [0, 0, side, side], quality })); }"
    said = page.evaluate(script, page_url)
    assert [each[:16] for each in said] == ["No answer: the f", "No answer: the f", *["Low quality: the"] * 2, ""]
    assert "only 20 pixels wide" in said[2]


def test_the_whole_walk_by_keyboard(page, photos):
    page.locator("a.skip").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([photos[0], photos[1]])
    expect(page.locator("#status")).to_contain_text("2 photos done", timeout=20_000)

    stops = []
    for _ in range(10):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", stops
        if stops[-1] == "error":
            page.keyboard.press("ArrowRight")
            expect(page.locator("#error-now")).to_have_text("2 %")
    assert stops[:2] == ["camera-start", "error"]
    assert [stop.split()[0] for stop in stops[-5:]] == ["clear", "fold", "box", "fold", "box"]
    page.keyboard.press("Tab")
    expect(page.locator("#copy")).to_be_focused()

    boxes = page.locator(".photo").nth(1).locator(".box")
    boxes.first.focus()
    page.keyboard.press("ArrowRight")
    expect(boxes.nth(1)).to_be_focused()
    expect(boxes.nth(1)).to_have_attribute("aria-pressed", "true")
    rows = page.locator("#rows tbody tr")
    chosen = ["chosen" in (row.get_attribute("class") or "") for row in rows.all()]
    assert chosen == [False, False, True]
    rows.nth(2).locator("button").focus()
    page.keyboard.press("Home")
    expect(rows.nth(0).locator("button")).to_be_focused()
    expect(page.locator(".box").nth(0)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    assert page.locator(".chosen").count() == 0


def test_a_row_marks_its_box(page, photos):
    choose(page, photos[1])
    page.locator("#rows tbody tr").nth(1).click()
    assert page.locator(".box.chosen").get_attribute("aria-label").startswith("Face 2")
    expect(page.locator(".faces li.chosen .verdict b")).to_have_text("2")


def test_photos_of_one_name_are_told_apart(page, photos):
    choose(page, photos[1])
    choose(page, photos[1])
    names = page.locator("#rows tbody tr > :nth-child(1)")
    expect(names).to_have_text(["two.jpg", "two.jpg", "two (2).jpg", "two (2).jpg"])


def shown(page, column):
    """What stands in a column of the table, from 1."""
    return page.locator(f"#rows tbody tr > :nth-child({column})").all_text_contents()


def test_the_table_is_sorted_by_a_column(page, photos):
    choose(page, *photos)
    names, probabilities = shown(page, 1), shown(page, 4)
    assert names == ["=1+1, a.png", "two.jpg", "two.jpg"]
    head = page.get_by_role("columnheader", name="p(male)", exact=True)  # without its arrow
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert (head.get_attribute("aria-sort"), shown(page, 4)) == ("ascending", sorted(probabilities))
    expect(head.get_by_role("button")).to_be_focused()
    page.keyboard.press("Space")
    assert (head.get_attribute("aria-sort"), shown(page, 4)) == ("descending", sorted(probabilities, reverse=True))
    page.get_by_role("columnheader", name="Photo").get_by_role("button").dblclick()
    assert head.get_attribute("aria-sort") == "none"
    assert shown(page, 1) == ["two.jpg", "two.jpg", "=1+1, a.png"]
    page.get_by_role("columnheader", name="Photo").get_by_role("button").click()
    assert (shown(page, 1), shown(page, 4)) == (names, probabilities)


def test_the_focus_stays_in_the_table_when_rows_come(page, photos):
    choose(page, photos[0])
    button = page.get_by_role("button", name="Face 1 of =1+1, a.png")
    button.focus()
    give(page, "drop", photos[1], "two.png")
    expect(page.locator("#rows tbody tr")).to_have_count(3)
    expect(button).to_be_focused()
    page.get_by_role("columnheader", name="Photo").get_by_role("button").dblclick()
    assert shown(page, 1) == ["two.png", "two.png", "=1+1, a.png"]
    button.focus()
    give(page, "drop", photos[0], "a.png")
    expect(page.locator("#rows tbody th")).to_have_text(["two.png", "two.png", "a.png", "=1+1, a.png"])
    expect(button).to_be_focused()


def test_the_table_is_filtered(page, photos):
    choose(page, *photos)
    page.locator("#error").fill("4")
    answers, qualities = labels(page), [float(quality) for quality in shown(page, 6)]
    page.locator("#filter-photo").fill("TWO")
    assert shown(page, 1) == ["two.jpg", "two.jpg"]
    expect(page.locator("#shown")).to_have_text("2 of 3 faces")
    page.locator("#filter-photo").fill("")
    for answer in ("female", "male", "uncertain"):
        page.locator("#filter-answer").select_option(answer)
        assert labels(page) == [each for each in answers if each == answer]
    page.locator("#filter-answer").select_option("")
    for kind, wanted in (("high", [q for q in qualities if q >= 0.5]), ("low", [q for q in qualities if q < 0.5])):
        page.locator("#filter-quality").select_option(kind)
        assert [float(quality) for quality in shown(page, 6)] == wanted
    page.click("#clear")
    choose(page, photos[0])
    expect(page.locator("#shown")).to_have_text("1 face")


def test_many_photos_are_thumbnails(page, photos, tmp_path):
    PIL.Image.open(photos[0]).crop((120, 0, 320, 200)).save(tmp_path / "small.png")
    many = []
    for number in range(30):
        many.append(tmp_path / f"photo {number}.png")
        many[-1].write_bytes((tmp_path / "small.png" if number < 28 else photos[3]).read_bytes())
    choose(page, *many)
    expect(page.locator("#summary")).to_contain_text("28 faces in 30 photos: 28 uncertain. 2 photos could not be read.")
    assert page.locator(".photo.open").count() == 0
    expect(page.locator(".photo:visible")).to_have_count(26)  # the first 24, and what could not be read
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollHeight") < 8000
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("img[src]").count() == 24
    assert page.locator(".later img[src]").count() == 0

    expect(page.locator("#shown")).to_have_text("28 faces, the first 25 shown")
    page.get_by_role("button", name="Show all 28 rows").click()
    page.get_by_role("button", name="Face 1 of photo 27.png").click()
    last = page.locator(".photo").nth(27)
    expect(last.locator(".box.chosen")).to_be_in_viewport()
    fold = last.get_by_role("button", name="photo 27.png")
    expect(fold).to_have_attribute("aria-expanded", "true")
    fold.press("Enter")
    expect(last).to_be_hidden()
    expect(page.get_by_role("button", name="Show all 30 photos")).to_be_focused()
    page.get_by_role("button", name="Show all 30 photos").click()
    expect(page.locator(".photo:visible")).to_have_count(30)
    assert page.locator(".later img[src]").count() == 4
    page.locator(".photo").nth(3).locator(".frame").click()
    expect(page.locator(".photo").nth(3).locator(".evidence")).to_be_visible()


@pytest.mark.parametrize("model", ["research", "open"])
def test_the_saved_csv_is_surveyed_as_the_page_says(page, photos, tmp_path, monkeypatch, model):
    pytest.importorskip("pandas")
    page.get_by_role("radio", name=model).check()
    expect(page.locator("#model-now")).to_have_text(model)
    choose(page, *photos)
    with page.expect_download() as download:
        page.click("#save-csv")
    download.value.save_as(tmp_path / "faces.csv")
    command = page.locator("#table code").text_content()
    page.click("#clear")
    page.get_by_role("radio", name="research").check()
    expect(page.locator("#model-now")).to_have_text("research")
    assert command == f"facegender survey faces.csv --model {model}"
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command.split()[1:], "--output", "survey"])
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO((tmp_path / "survey" / "survey.csv").read_text(encoding="utf-8")))
    assert (row["faces"], row["faceless"], row["not_read"]) == ("3", "1", "1")


def test_the_terms_of_the_model_are_in_sight(page):
    for model in ("open", "research"):
        page.get_by_role("radio", name=model).check()
        terms = page.get_by_text(load_card(model).licence)
        for opened in (True, False):
            page.locator("#model").evaluate("(model, opened) => (model.open = opened)", opened)
            expect(terms.filter(visible=True).first).to_be_visible()  # once the model is loaded
        page.locator("#model").evaluate("model => (model.open = true)")


def test_another_model_answers_the_same_photos(page, photos):
    choose(page, photos[0])
    before = page.locator("#rows tbody tr").text_content()
    with page.expect_response("**/models/open.onnx"):
        page.get_by_role("radio", name="open").check()
    expect(page.locator("#rows tbody tr")).not_to_have_text(before)
    expect(page.locator("#model-now")).to_have_text("open")
    expect(page.locator("#models label").first).to_contain_text("non-commercial research only")
    expect(page.locator("#models label").first).to_contain_text("UTKFace, CelebA, All-Age-Faces, film stills")
    page.get_by_role("radio", name="research").check()
    expect(page.locator("#rows tbody tr")).to_have_text(before)


def test_the_webcam(page):
    page.click("#camera-start")
    expect(page.locator("#camera-now")).to_contain_text("ms a frame", timeout=10_000)
    video = page.locator("#camera-video").element_handle()
    track = video.evaluate_handle("video => video.srcObject.getTracks()[0]")
    page.keyboard.press("Enter")  # the button that stops it has the focus
    expect(page.locator("#camera")).to_be_hidden()
    assert track.evaluate("track => track.readyState") == "ended"
    expect(page.locator("#camera-start")).to_be_focused()


def test_faces_before_the_webcam(page, photos):
    page.evaluate(FILM, base64.b64encode(photos[0].read_bytes()).decode())
    page.click("#camera-start")
    box = page.locator("#camera-boxes .box")
    expect(box).to_have_text("1uncertain", timeout=10_000)
    place = box.evaluate("box => parseFloat(box.style.left)")
    assert place == pytest.approx(100 * (512 - 179 - 91) / 512, abs=2)  # mirrored, as the picture is
    page.click("#camera-keep")
    expect(page.locator(".photo h3")).to_contain_text("webcam")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    track = page.locator("#camera-video").element_handle().evaluate_handle("video => video.srcObject.getTracks()[0]")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange')); delete document.hidden")
    expect(page.locator("#camera")).to_be_hidden()
    assert track.evaluate("track => track.readyState") == "ended"


def test_the_webcam_is_stopped_while_it_starts(page):
    page.evaluate(
        """() => {
          navigator.mediaDevices.getUserMedia = async () => new MediaStream();
          const video = document.getElementById("camera-video");
          video.play = () => new Promise((_, reject) => (window.interrupt = () => reject(new DOMException("over"))));
          window.restore = () => delete video.play && delete navigator.mediaDevices.getUserMedia;
        }"""
    )
    before = page.locator("#status").text_content()
    page.click("#camera-start")
    page.click("#camera-keep")  # there is no frame yet
    page.click("#camera-stop")
    page.evaluate("interrupt(); restore()")
    expect(page.locator("#camera-start")).to_be_enabled()
    assert page.locator("#status").text_content() == before
    assert page.locator(".photo").count() == 0


def test_a_webcam_that_comes_after_the_page_was_left(page):
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { value: true, configurable: true });
          const canvas = document.createElement("canvas");
          canvas.getContext("2d");
          window.stream = canvas.captureStream();
          navigator.mediaDevices.getUserMedia = async () => stream;
        }"""
    )
    page.click("#camera-start")
    expect(page.locator("#camera-start")).to_be_enabled()
    expect(page.locator("#camera")).to_be_hidden()
    page.evaluate("delete document.hidden; delete navigator.mediaDevices.getUserMedia")
    assert page.evaluate("stream.getTracks()[0].readyState") == "ended"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_as_wide_as_the_window(page, photos, scheme):
    page.emulate_media(color_scheme=scheme)
    for content in ("empty", "results", "thumbnails"):
        if content == "results":
            choose(page, *photos)
            page.locator(".box").first.click()
        if content == "thumbnails":
            choose(page, *photos)
        page.locator("details").evaluate_all("all => all.forEach((each) => (each.open = true))")
        for width in (390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        for width in (320, 360, 390, 640, 768, 820, 1000, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(
                "document.getElementById('rows').scrollWidth <= document.getElementById('table').clientWidth"
            )


def test_networks_that_cannot_be_loaded(browser, page_url):
    page = browser.new_page()
    page.route("**/models/face-detector.onnx", lambda route: route.fulfill(status=500))
    page.goto(page_url)
    expect(page.locator("#status")).to_contain_text("The networks could not be loaded: models/face-detector.onnx")
    expect(page.locator("#loading")).to_be_hidden()
    expect(page.locator("#choose")).to_be_disabled()
    page.close()


def test_a_webcam_before_networks_that_cannot_be_loaded(browser, page_url):
    context = browser.new_context(permissions=["camera"])
    page, held = context.new_page(), []

    def hold(route):
        held.append(route)

    page.route("**/models/face-detector.onnx", hold)
    with page.expect_request("**/models/face-detector.onnx"):
        page.goto(page_url)
    page.click("#camera-start")
    expect(page.locator("#camera-stop")).to_be_focused()
    held[0].fulfill(status=500)
    expect(page.locator("#status")).to_contain_text("analysed: the networks could not be loaded. Reload the page")
    expect(page.locator("#camera")).to_be_hidden()
    expect(page.locator("#camera-start")).to_be_disabled()
    context.close()
