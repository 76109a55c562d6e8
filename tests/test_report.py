"""The report as a reader gets it: one HTML file, and Markdown beside its figures."""

import base64

import pytest
from PIL import Image as PillowImage

from facegender.errors import OutputError
from facegender.report import Section, command, picture, table, write_report


@pytest.fixture
def written(tmp_path):
    (tmp_path / "figures").mkdir()
    PillowImage.new("RGB", (8, 4), "red").save(tmp_path / "figures" / "one.png")
    blocks = [
        table(["network", "accuracy", "note"], [["a|b", "97.1 ± 0.2", "x"], ["c", "+1.0", "<script>"]]),
        picture("figures/one.png", 'A "red" picture'),
        command("facegender params"),
    ]
    page = write_report(tmp_path, "report", "Results & more", ["Scale: **quick**."], [Section("Table 1", blocks)])
    return page.read_text(), (tmp_path / "report.md").read_text(), tmp_path


def test_the_page_needs_nothing_beside_it(written):
    page, _, folder = written
    encoded = base64.b64encode((folder / "figures" / "one.png").read_bytes()).decode()
    assert f'src="data:image/png;base64,{encoded}"' in page
    assert 'alt="A &quot;red&quot; picture"' in page
    assert "http" not in page
    assert "<title>Results &amp; more</title>" in page
    assert "<strong>quick</strong>" in page
    assert "<code>facegender params" in page


def test_the_page_has_no_barriers_in_any_colours(browser, written):
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((written[2] / "report.html").as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert Axe().run(page).response["violations"] == []
    page.close()


def test_the_markdown_points_at_the_figures(written):
    _, text, _ = written
    assert '![A "red" picture](figures/one.png)' in text
    assert text.startswith("# Results & more\n")
    assert "## Table 1" in text


def test_cells_stay_cells_and_text_stays_text(written):
    page, text, _ = written
    assert "| a\\|b | 97.1 ± 0.2 | x |" in text
    assert "<td>a|b</td>" in page
    assert "<script>" not in page.replace("&lt;script&gt;", "")


def test_columns_of_numbers_stand_to_the_right():
    assert table(["name", "faces"], [["lfw", "1,322"], ["celeba", "-"]]).splitlines()[1] == "| --- | ---: |"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "file", "report", "Title", [], [])


@pytest.mark.parametrize("name", ["größe.png", "a b.png", "a(b.png", "100%.png", "a&b.png", "a'b.png"])
def test_figures_of_any_name(name, tmp_path):
    PillowImage.new("RGB", (8, 4), "red").save(tmp_path / name)
    page = write_report(tmp_path, "report", "Results", [], [Section("One", [picture(name, "A picture")])])
    assert "data:image/png;base64," in page.read_text()
