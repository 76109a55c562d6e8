"""The page as files."""

from __future__ import annotations

import gzip
import hashlib
import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facegender import page, weights
from facegender.cli import app
from facegender.errors import OutputError
from facegender.page import assets, write_page

ROOT = Path(__file__).parents[2]
VENDOR = Path(page.__file__).parent / "static" / "vendor"


def test_the_runtime_is_the_pinned_one():
    about = json.loads((VENDOR / "versions.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "scripts" / "page" / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"][f"node_modules/{about['package']}"]["version"] == about["version"]
    files = {path.name: path for path in VENDOR.iterdir() if path.name != "versions.json"}
    for name, sha256 in about["sha256"].items():
        path = files.pop(name, None) or files.pop(f"{name}.gz")
        content = path.read_bytes()
        assert hashlib.sha256(gzip.decompress(content) if path.suffix == ".gz" else content).hexdigest() == sha256
    assert not files


def test_it_holds_the_networks_and_what_their_cards_say():
    files = assets()
    about = json.loads(files["models.json"].read())
    for network in [about["detector"], *about["classifiers"]]:
        assert hashlib.sha256(files[network["file"]].read()).hexdigest() == network["sha256"]
    assert {each["name"] for each in about["classifiers"]} == set(weights.list_models())
    for each in about["classifiers"]:
        assert each["confidence_for_error"] == weights.load_card(each["name"]).confidence_for_error
        assert each["rates"]["sha256"] == each["sha256"]
        assert each["groups"]


def test_each_dataset_that_readers_see_has_a_display_name():
    about = json.loads(assets()["models.json"].read())
    for each in about["classifiers"]:
        tests = [test.partition(" ")[0] for test in each["accuracy"]]
        groups = [group["dataset"] for group in each["groups"]]
        assert {*each["training_data"].split("+"), *tests, *groups} <= set(about["names"])


def test_the_page_says_the_policy_that_its_server_sends():
    html = assets()["index.html"].read().decode()
    policy = page.HEADERS["Content-Security-Policy"].removesuffix("; frame-ancestors 'none'")  # not for pages
    assert policy in html


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    result = CliRunner().invoke(app, ["page", "--output", str(tmp_path)])
    assert isinstance(result.exception, OutputError)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError):
        write_page(tmp_path / "thesis.tex")


def test_what_was_put_beside_the_page_is_left_alone(tmp_path):
    write_page(tmp_path / "site")
    (tmp_path / "site" / "CNAME").write_text("example.org")
    with pytest.raises(OutputError, match="more than a page: CNAME"):
        write_page(tmp_path / "site")
    assert (tmp_path / "site" / "CNAME").read_text() == "example.org"
    (tmp_path / "site" / "CNAME").unlink()
    write_page(tmp_path / "site")


def test_the_command_that_serves_the_page_can_be_pasted(tmp_path):
    folder = tmp_path / "the editor's page"
    result = CliRunner().invoke(app, ["page", "--output", str(folder)])
    command = result.stderr.partition("for example with: ")[2]
    assert shlex.split(command)[-2:] == ["-d", str(folder)]


def test_a_folder_of_ones_own(tmp_path):
    result = CliRunner().invoke(app, ["page", "--output", str(tmp_path / "site")])
    assert result.exit_code == 0
    written = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.*")}
    assert written == set(assets())
