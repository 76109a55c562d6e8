import io

import pytest


@pytest.fixture
def there(tmp_path, monkeypatch):
    """An empty folder that we are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stdin(monkeypatch):
    """Give bytes as standard input."""

    def give(data):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give
