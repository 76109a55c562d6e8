"""What the pages say can be followed: links lead somewhere, commands have the options that they are given."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer.main

from facegender.cli import app
from facegender.cli.root import VERBS

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "results" / "README.md")
}
#: Written from --help, and compared with it by another test.
REFERENCE = "docs/cli.md"
#: Names commands as they were when something was measured.
MEASURED = "results/README.md"

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
#: What ends a command in a shell: a comment, a pipe, a redirection, another command.
END = re.compile(r"\s(?:#|\||>|<|&&|;|2>).*")
#: Options of other programs that the pages name.
OTHERS = ("--cpus", "--tmpfs")


def prose(text):
    return FENCE.sub("", text)


def anchors(text):
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links():
    for name, text in PAGES.items():
        for target in LINK.findall(prose(text)):
            if not re.match(r"[a-z]+:", target):
                yield name, target


@pytest.mark.parametrize(("name", "target"), sorted(set(links())))
def test_every_link_leads_somewhere(name, target):
    path, _, anchor = target.partition("#")
    page = (ROOT / name).parent / path if path else ROOT / name
    assert page.exists(), f"{name} links {target}"
    if anchor:
        assert anchor in anchors(page.read_text(encoding="utf-8"))


def commands():
    """(page, command) of every command line in a block; lines that go on after a backslash are one."""
    for name, text in PAGES.items():
        for _, _, block in FENCE.findall(text) if name not in (REFERENCE, MEASURED) else ():
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if found := re.search(r"(?:^|[|;&]|bin/|sudo )\s*(facegender\s.*)", line):
                    yield name, END.sub("", found[1]).strip()


def spans():
    """(page, words) of every command and option that is named within a sentence."""
    for name, text in PAGES.items():
        if name not in (REFERENCE, MEASURED):
            yield from ((name, span) for span in SPAN.findall(prose(text)) if re.match(r"facegender |--[a-z]", span))


@cache
def verb(*path):
    """The verb of this path and its context."""
    if not path:
        command = typer.main.get_command(app)
        return command, command.make_context("facegender", [], resilient_parsing=True)
    group, above = verb(*path[:-1])
    command = group.get_command(above, path[-1])
    assert command is not None, f"no command {path[-1]}"
    return command, type(above)(command, parent=above, info_name=path[-1])


def leaf(words):
    """The verb that these words name, its context, and the words after it."""
    path = []
    while hasattr(verb(*path)[0], "get_command") and words and not words[0].startswith("-"):
        first, *words = words
        path.append(first)
    return *verb(*path), words


def check(command_line):
    """Raise where the command does not take these words; files need not exist."""
    command, context, words = leaf(shlex.split(command_line)[1:])
    values, extra, _ = command.make_parser(context).parse_args(args=list(words))
    assert not extra, f"too many arguments: {extra}"
    if not {"--help", "--version"} & set(words):
        absent = [each.name for each in command.params if each.required and not values.get(each.name)]
        assert not absent, f"absent: {absent}"


@pytest.mark.parametrize(("name", "command"), sorted(set(commands())))
def test_every_command_has_its_options(name, command):
    check(command)


@pytest.mark.parametrize(("name", "span"), sorted(set(spans())))
def test_every_option_in_a_sentence_exists(name, span):
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", span))
    if span.startswith("facegender "):
        verb = span.split()[1]
        assert verb in VERBS or verb.startswith("-")
    assert options <= known() | set(OTHERS)


@cache
def known():
    """The options of all verbs."""
    group = typer.main.get_command(app)
    context = group.make_context("facegender", [], resilient_parsing=True)
    found, commands_ = set(), [group]
    while commands_:
        command = commands_.pop()
        found |= {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        if hasattr(command, "list_commands"):
            commands_ += [command.get_command(context, verb) for verb in command.list_commands(context)]
    return found | {"--help"}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("facegender predict a.jpg --recursively", "No such option"),
        ("facegender predict a.jpg --fps", "requires an argument"),
        ("facegender foretell a.jpg", "no command foretell"),
        ("facegender export stores/lfw runs/one --name n --licence l --validate v --test t", "too many arguments"),
        ("facegender export runs/one --name n --licence l", "absent"),
        ("facegender prepare lfw", "absent: .*source"),
    ],
)
def test_the_check_finds_what_does_not_parse(command, why):
    with pytest.raises(Exception, match=why):
        check(command)


def test_the_pages_are_read():
    assert len(list(commands())) > 70
    assert len(list(links())) > 100
