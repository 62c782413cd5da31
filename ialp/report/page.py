"""The page: all tables and figures in one HTML file that needs nothing beside it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from ialp.report.tables import Table


@dataclass(frozen=True)
class Picture:
    """A figure on the page, as SVG."""

    key: str
    title: str
    caption: str
    svg: str


Part = tuple[str, Sequence[Table | Picture]]
"""A heading and what stands below it."""


def page(title: str, summary: str, warnings: Sequence[str], parts: Sequence[Part]) -> str:
    """The HTML. Texts are escaped, pictures are put in as they are."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=False)
    template = environment.from_string((files("ialp.report") / "page.html").read_text(encoding="utf-8"))
    return template.render(title=title, summary=summary, warnings=warnings, parts=parts)


def inline(svg: str, key: str) -> str:
    """An SVG file as part of an HTML document: without what only a file has, its ids apart from other pictures'."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, rest = body.split(">", 1)
    rest = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{key}-", rest)
    return re.sub(r'\s(?:width|height)="[^"]*"', "", head) + ">" + rest
