"""Write the pages and pictures that are made from the code; or, of results folders, the tables of findings."""

import sys

from docs.make import findings
from docs.make.pages import DOCS, PAGES
from docs.make.pictures import PICTURES, draw

if sys.argv[1:2] == ["findings"]:
    there = DOCS / "findings_tables.md"
    written = {there.name: findings.page(sys.argv[2:], there.read_text("utf-8") if there.is_file() else "")}
else:
    written = {name: text() for name, text in PAGES.items()}
    written |= {f"pictures/{name}.svg": draw(name) for name in PICTURES}
for name, text in written.items():
    (DOCS / name).write_text(text, "utf-8")
    print(DOCS / name)
