"""What docs/service.md says of the service is so."""

import re
from pathlib import Path

import pytest
import typer.main

from facegender.cli import app
from facegender.server.metrics import ServiceMetrics
from facegender.wire import PROBLEMS

GUIDE = Path(__file__).parents[1] / "docs" / "service.md"


@pytest.fixture(scope="module")
def guide():
    return GUIDE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def defaults():
    """The options of `facegender serve` and their defaults."""
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), "serve")  # verbs are imported when they are named
    assert command is not None
    return {name: str(each.default) for each in command.params for name in each.opts + each.secondary_opts}


def test_limits_have_the_defaults_of_the_command(guide, defaults):
    listed = dict(re.findall(r"^\| `(--[a-z-]+)` \| ([^ |]+) \|", guide, re.MULTILINE))
    assert listed == {name: defaults[name] for name in listed}
    numbers = ("--max-", "--body-timeout", "--time-limit", "--grace", "--workers")
    assert set(listed) == {name for name in defaults if name.startswith(numbers)}


def test_every_option_that_is_named_exists(guide, defaults):
    for command in re.findall(r"facegender serve[^`\n]*", guide):
        assert set(re.findall(r"(?<=\s)--[a-z-]+", command)) <= set(defaults)


def test_every_problem_is_listed(guide):
    rows = re.findall(r"^\| ([\d, ]+) \| ((?:`[a-z_]+`(?:, )?)+) \|", guide, re.MULTILINE)
    listed = {kind: statuses for statuses, kinds in rows for kind in re.findall(r"[a-z_]+", kinds)}
    assert listed.keys() == PROBLEMS.keys()
    assert all(str(PROBLEMS[kind].status) in statuses for kind, statuses in listed.items())


def test_every_count_is_named(guide):
    given = {family.name for family in ServiceMetrics().registry.collect()}
    named = {name.removesuffix("_total") for name in re.findall(r"facegender_[a-z_]+", guide)}
    assert given <= named


def test_one_photo_that_takes_too_much_memory_does_not_end_the_unit(guide):
    assert "\nOOMPolicy=continue\n" in guide
    assert all("--workers" in line for line in guide.splitlines() if line.startswith("ExecStart="))


def test_proxies_and_the_unit_agree_with_the_defaults(guide, defaults):
    assert re.search(r"client_max_body_size (\d+);", guide)[1] == defaults["--max-bytes"]
    assert int(re.search(r"max_size (\d+)MiB", guide)[1]) * 2**20 == int(defaults["--max-bytes"])
    longest = float(defaults["--max-wait"]) + 2 * float(defaults["--time-limit"])
    for seconds in re.findall(r"(?:proxy_read_timeout|response_header_timeout) (\d+)s", guide):
        assert int(seconds) > longest
    for seconds in re.findall(r"(?:TimeoutStopSec=|--stop-timeout )(\d+)", guide):
        assert int(seconds) > float(defaults["--grace"])
