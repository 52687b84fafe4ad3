"""Write the pages and pictures that are made from the code."""

from docs.make.pages import DOCS, PAGES
from docs.make.pictures import PICTURES, draw

for name, text in PAGES.items():
    (DOCS / name).write_text(text(), "utf-8")
    print(DOCS / name)
for name in PICTURES:
    path = DOCS / "pictures" / f"{name}.svg"
    path.write_text(draw(name), "utf-8")
    print(path)
