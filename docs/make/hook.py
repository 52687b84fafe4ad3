"""What the site needs beside the pages: README.md as its first page, and files of the checkout that pages link to.

On GitHub a page links to `../sweeps/quickstart.yaml` or `../analysis/quickstart.png`; the site has a copy of such a file below `checkout/`.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

CHECKOUT = Path(__file__).parent.parent.parent
FOREIGN = re.compile(r'(?:src|rel="stylesheet" href)="(https?://[^"]+)"')
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Any, config: Any) -> Any:
    """README.md becomes index.md, and what pages link to outside docs/ joins the site."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    files.append(File.generated(config, "index.md", content=_moved(readme, CHECKOUT)))
    sources = [
        CHECKOUT / "README.md",
        *(Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path),
    ]
    for name in sorted({name for source in sources for name in _outside(source)}):
        files.append(File.generated(config, f"checkout/{name}", abs_src_path=str(CHECKOUT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links out of docs/ go to the copies."""
    source = page.file.abs_src_path
    return _moved(markdown, Path(source).parent) if source else markdown


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Nothing that a page needs comes from another server.

    Raises:  PluginError: something does.
    """
    if foreign := FOREIGN.findall(output):
        raise PluginError(f"{page.file.src_path}: needs {', '.join(foreign)}")
    return output


def _outside(source: Path) -> set[str]:
    """Files of the checkout, outside docs/, that a page links to."""
    found = set()
    for _, target, _ in LINK.findall(source.read_text("utf-8")):
        path = (source.parent / target).resolve()
        if "://" not in target and path.is_file() and path.is_relative_to(CHECKOUT):
            name = path.relative_to(CHECKOUT).as_posix()
            found |= set() if name.startswith("docs/") or name == "README.md" else {name}
    return found


def _moved(text: str, folder: Path) -> str:
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
        return f"{before}{posixpath.normpath(inside)}{after}"

    return LINK.sub(target, text)
