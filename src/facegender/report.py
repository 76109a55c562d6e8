"""A report as Markdown beside its figures, and the same as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt

from facegender.files import write_text

_STYLE = """
:root { color-scheme: light dark; background: Canvas; color: CanvasText; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; padding-bottom: .2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
table { font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8883; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #8888; }
img { max-width: 100%; height: auto; background: white; border-radius: 4px; }
code { font-size: .9em; background: #8882; padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: #8882; padding: .7rem; overflow-x: auto; border-radius: 4px; }
pre code { background: none; padding: 0; }
"""

_IMAGE = re.compile(r'<img src="([^":]+\.png)"')


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        title: its heading.
        blocks: Markdown, one block each; `table`, `picture` and `command` make some.
    """

    title: str
    blocks: Sequence[str]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; columns whose cells all begin with a digit or a sign are aligned to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    columns = range(len(header))
    numeric = [all(re.match(r"[-+]?\d|-$|$", row[i]) for row in cells) and bool(cells) for i in columns]
    lines = [[_cell(value) for value in header], ["---:" if right else "---" for right in numeric], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def picture(path: str, caption: str) -> str:
    """A figure by its path beside the report, with what it shows in words."""
    return f"![{caption}]({quote(path)})\n\n*{caption}*"


def command(*lines: str) -> str:
    """How to make this part again."""
    return "Again with:\n\n```\n" + "\n".join(lines) + "\n```"


def write_report(folder: Path, name: str, title: str, introduction: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write ``NAME.md`` and ``NAME.html``; the latter holds its PNG figures itself.

    Returns:
        the HTML file.

    Raises:
        OutputError: the folder cannot be written.
    """
    parts = [f"# {title}", *introduction]
    for section in sections:
        parts += [f"## {section.title}", *section.blocks]
    text = "\n\n".join(parts) + "\n"
    write_text(folder / f"{name}.md", text)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = _IMAGE.sub(lambda match: f'<img src="{_data_url(folder / unquote(html.unescape(match[1])))}"', body)
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
    write_text(folder / f"{name}.html", page)
    return folder / f"{name}.html"


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
