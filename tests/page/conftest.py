"""The page as a browser sees it: a real Chromium, and the page's files on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def page_url(study: ModuleType) -> Iterator[str]:
    """Where the page is served."""
    with study.served() as url:
        yield url
