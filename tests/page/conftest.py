"""The page as a browser sees it: a real Chromium, and the page's files on a real server."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, sync_playwright

STUDIES = Path(__file__).parents[2] / "studies" / "speed"


@pytest.fixture(scope="session")
def study() -> ModuleType:
    """What the study of the page has, too."""
    spec = importlib.util.spec_from_file_location("browser", STUDIES / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def launch(study: ModuleType) -> Iterator[Callable[..., Browser]]:
    """Start a Chromium without a window, with more arguments for its command line."""
    path = study.installed()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(study.BROWSERS)} is installed")
    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *more])


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """A Chromium whose camera shows a test picture."""
    started = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    yield started
    started.close()


@pytest.fixture(scope="session")
def page_url(study: ModuleType) -> Iterator[str]:
    """Where the page is served."""
    with study.served() as url:
        yield url
