"""What the site needs beside the pages: README.md as its first page, and files of the checkout that pages link to.

On GitHub a page links to `../sweeps/quickstart.yaml` or `../analysis/quickstart.png`; the site has a copy of such a file below `checkout/`.
"""

from __future__ import annotations

import posixpath
import re
from html import unescape
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

CHECKOUT = Path(__file__).parent.parent.parent
FOREIGN = re.compile(r'(?:src|rel="stylesheet" href)="(https?://[^"]+)"')
LOCAL = re.compile(r'<(?:a|img|link|script)\b[^>]*? (?:href|src)="(?!https?:|mailto:|data:|#)([^"#?]+)[^"]*"')
FIRST = {"own_question.md": 3, "own_data.md": 3, "glossary.md": 2}  # in the search
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Any, config: Any) -> Any:
    """README.md becomes index.md, and what pages link to outside docs/ joins the site."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    files.append(File.generated(config, "index.md", content=_moved(readme, CHECKOUT, "index.md")))
    sources = [
        *CHECKOUT.glob("*.md"),
        *(Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path),
    ]
    for name in sorted({name for source in sources for name in _outside(source)}):
        files.append(File.generated(config, f"checkout/{name}", abs_src_path=str(CHECKOUT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links out of docs/ go to the copies; a search shows first the pages that explain."""
    if page.file.src_uri in FIRST:
        page.meta["search"] = {"boost": FIRST[page.file.src_uri]}
    source = page.file.abs_src_path
    return _moved(markdown, Path(source).parent, page.file.src_uri) if source else markdown


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Nothing that a page needs comes from another server.

    Raises:  PluginError: something does.
    """
    if foreign := FOREIGN.findall(output):
        raise PluginError(f"{page.file.src_path}: needs {', '.join(foreign)}")
    return output


def on_post_build(config: Any) -> None:
    """Every link leads to a file of the site; mkdocs does not look at pages that hooks add.

    Raises:  PluginError: some do not.
    """
    site, dead = Path(config["site_dir"]), []
    for page in sorted(site.rglob("*.html")):
        for target in LOCAL.findall(page.read_text("utf-8")):
            root = site if target.startswith("/") else page.parent
            if not (root / unescape(target).lstrip("/")).exists():
                dead.append(f"{page.relative_to(site)}: {target}")
    if dead:
        raise PluginError("links that lead nowhere: " + ", ".join(dead))


def _outside(source: Path) -> set[str]:
    """Files of the checkout, outside docs/, that a page links to."""
    found = set()
    for _, target, _ in LINK.findall(source.read_text("utf-8")):
        path = (source.parent / target).resolve()
        if "://" not in target and path.is_file() and path.is_relative_to(CHECKOUT):
            name = path.relative_to(CHECKOUT).as_posix()
            found |= set() if name.startswith("docs/") or name == "README.md" else {name}
    return found


def _moved(text: str, folder: Path, page: str) -> str:
    """The text of a file in a folder of the checkout, with links that lead on from its page of the site."""

    def target(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        path = (folder / link).resolve()
        if "://" in link or not path.is_file() or not path.is_relative_to(CHECKOUT):
            return match[0]
        name = path.relative_to(CHECKOUT).as_posix()
        inside = (
            "index.md"
            if name == "README.md"
            else name.removeprefix("docs/")
            if name.startswith("docs/")
            else f"checkout/{name}"
        )
        return before + posixpath.relpath(inside, posixpath.dirname(page) or ".") + after

    return LINK.sub(target, text)
