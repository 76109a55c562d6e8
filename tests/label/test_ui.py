"""The page in a real browser: by keyboard, by mouse, and as a screen reader gets it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect


@pytest.fixture
def page(browser, start, serve):
    """The page of a new session of 12 faces; nothing goes wrong on it and nothing leaves the machine."""
    session = start(count=12)
    with serve(session) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("request", lambda asked: asked.url.startswith(url) or wrong.append(asked.url))
        page.goto(url)
        expect(page.locator("#place")).to_have_text("Face 1 of 12")
        page.session = session
        yield page
        context.close()
    assert wrong == []


def answers(page):
    return [page.session.item(place).answer for place in range(12)]


def test_twelve_faces_by_keyboard_alone(page):
    for i, key in enumerate("fmufFMufmufm"):
        expect(page.locator("#place")).to_have_text(f"Face {i + 1} of 12")
        page.keyboard.press(key)
    expect(page.locator("#end-heading")).to_have_text("All of these faces have an answer.")
    words = {"f": "female", "m": "male", "u": "unclear"}
    assert answers(page) == [words[key] for key in "fmuffmufmufm"]
    expect(page.locator("#end")).to_be_focused()
    expect(page.locator("#end-file")).to_contain_text("labels.csv")


def test_keys_that_come_faster_than_the_server_are_all_taken_in_order(page):
    page.evaluate(
        """() => { for (const key of "fmfmuufmfm")
             document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); }"""
    )
    expect(page.locator("#place")).to_have_text("Face 11 of 12")
    words = {"f": "female", "m": "male", "u": "unclear"}
    assert answers(page)[:10] == [words[key] for key in "fmfmuufmfm"]


def test_the_face_before_is_not_seen_under_the_place_of_the_next(page):
    held, released = [], []

    def hold(route):
        held.append(route)
        if released:
            route.continue_()

    page.route("**/item/3/face.jpg", hold)
    for key in "fmu":
        page.keyboard.press(key)
    expect(page.locator("#place")).to_have_text("Face 4 of 12")
    expect(page.locator("#face")).to_be_hidden()
    released.extend(held)
    for route in released:
        route.continue_()
    expect(page.locator("#face")).to_be_visible()


def test_an_answer_is_of_the_face_that_is_shown(browser, start, serve):
    session = start()
    with serve(session) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#place")).to_have_text("Face 1 of 40")
        page.route("**/item/1", lambda route: route.abort(), times=1)
        page.keyboard.press("f")
        expect(page.locator("#alarm")).not_to_be_empty()  # the next face did not come
        expect(page.locator("#place")).to_have_text("Face 1 of 40")
        page.keyboard.press("m")
        expect(page.locator("#place")).to_have_text("Face 2 of 40")
        page.close()
    assert [session.item(place).answer for place in range(2)] == ["male", None]


def test_back_shows_what_was_said_and_undo_takes_it_back(page):
    page.keyboard.press("f")
    page.keyboard.press("m")
    expect(page.locator("#place")).to_have_text("Face 3 of 12")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#said")).to_have_text("You said: male.")
    expect(page.locator('[data-answer="male"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("u")
    expect(page.locator("#place")).to_have_text("Face 3 of 12")
    assert answers(page)[:3] == ["female", "unclear", None]
    page.keyboard.press("z")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    assert answers(page)[:2] == ["female", None]
    page.keyboard.press("Backspace")
    expect(page.locator("#place")).to_have_text("Face 1 of 12")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")


def test_the_photo_is_shown_on_demand_only(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("#photo")).to_be_hidden()
    page.keyboard.press("p")
    expect(page.locator("#photo")).to_be_visible()
    expect(page.locator("#show")).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#name")).to_have_text(page.session.item(0).photo)
    page.keyboard.press("f")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    expect(page.locator("#photo")).to_be_hidden()
    assert sum(url.endswith("photo.jpg") for url in asked) == 1


def test_the_photo_before_is_not_seen_under_the_name_of_the_next(page):
    page.keyboard.press("p")
    expect(page.locator("#whole")).to_be_visible()
    held = []

    def hold(route):
        held.append(route)

    page.route("**/item/1/photo.jpg", hold)
    page.keyboard.press("f")
    page.keyboard.press("p")
    expect(page.locator("#name")).to_have_text(page.session.item(1).photo)
    expect(page.locator("#whole")).to_be_hidden()
    held[0].continue_()
    expect(page.locator("#whole")).to_be_visible()


def test_by_mouse_and_by_tabulator(page):
    page.click('[data-answer="male"]')
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    page.click("#undo")
    expect(page.locator("#place")).to_have_text("Face 1 of 12")
    page.locator('[data-answer="female"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    assert page.evaluate("document.activeElement.dataset.answer") == "female"
    assert answers(page)[0] == "female"


def test_the_focus_stays_among_the_ways(page):
    for key in "fm":
        page.keyboard.press(key)
    expect(page.locator("#place")).to_have_text("Face 3 of 12")
    page.locator("#back").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    expect(page.locator("#back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#back")).to_be_disabled()
    expect(page.locator("#forward")).to_be_focused()
    for key in "fmufmufmufmu":
        page.keyboard.press(key)
    expect(page.locator("#end")).to_be_focused()
    page.click("#again")
    expect(page.locator("#place")).to_have_text("Face 12 of 12")
    expect(page.locator("#back")).to_be_focused()


def test_a_photo_that_cannot_be_shown_is_said(browser, start, serve):
    with serve(start()) as url:
        page = browser.new_page()
        page.route("**/item/0/face.jpg", lambda route: route.abort())
        page.goto(url)
        expect(page.get_by_role("alert")).to_have_text("This photo cannot be shown. Press → to continue.")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#face")).to_be_visible()
        page.close()


def test_keys_with_modifiers_are_the_browsers(page):
    page.keyboard.press("Control+m")
    page.keyboard.press("Alt+f")
    page.keyboard.press("f")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    assert answers(page)[:2] == ["female", None]


def test_letters_are_no_keys_where_they_are_switched_off_and_stay_so(page, start, serve):
    page.get_by_label("work as keys").uncheck()
    page.keyboard.press("f")
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#place")).to_have_text("Face 2 of 12")
    expect(page.locator("#photo")).to_be_hidden()
    assert answers(page)[:2] == [None, None]
    page.get_by_role("button", name="Male", exact=True).click()
    expect(page.locator("#place")).to_have_text("Face 3 of 12")
    with serve(start()) as url:  # another port
        other = page.context.new_page()
        other.goto(url)
        expect(other.get_by_label("work as keys")).not_to_be_checked()
        other.get_by_label("work as keys").check()
        other.keyboard.press("f")
        expect(other.locator("#place")).to_have_text("Face 2 of 40")


def test_a_screen_reader_hears_each_step(page):
    status = page.locator("#status")
    expect(status).to_have_attribute("aria-live", "polite")
    page.keyboard.press("f")
    expect(status).to_have_text("Saved: female. Face 2 of 12.")
    page.keyboard.press("z")
    expect(status).to_have_text("Taken back. Face 1 of 12.")
    page.keyboard.press("p")
    expect(status).to_have_text("The photo is shown.")
    expect(page.locator("#face")).to_have_attribute("alt", "Face 1")
    for name in ("F Female", "M Male", "U Can’t tell", "← Back", "→ Forward", "Z Undo", "P Photo"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_barriers(page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.keyboard.press("p")
    expect(page.locator("#photo")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_width_of_the_interval_is_said_while_labelling(browser, start, serve):
    session = start(count=60)
    for place in range(30):
        session.answer(place, "female" if place % 2 else "male")
    with serve(session) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#place")).to_have_text("Face 31 of 60")
        expect(page.locator("#width")).to_contain_text("Interval now: ±", timeout=20_000)
        expect(page.locator("#width")).to_contain_text("with 100 more labels")
        expect(page.locator("#counted")).to_have_text("30 of 60 faces have an answer.")
        page.close()


def test_a_server_that_has_ended_is_said(browser, start, serve):
    with serve(start()) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#place")).to_have_text("Face 1 of 40")
        expect(page.locator("#face")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_role("alert")).to_contain_text("has ended")
    page.close()
