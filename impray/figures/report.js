"use strict";
// Tables sort by a click on their heads, claims can be searched, and what is folded opens for printing (claims of figures do
// not: their table is there). Without this the page is whole.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const value = (row, at) => {
    const cell = row.cells[at];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = parseFloat(text);
    return { text, number, known: text !== "" && text !== "-" };
  };
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sense = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sense === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => ({ row, ...value(row, at) }));
      const numeric = rows.every((one) => !one.known || !Number.isNaN(one.number));
      rows.sort((a, b) => {
        if (a.known !== b.known) return a.known ? -1 : 1; // what is not known comes last, both ways
        return sense * (numeric ? a.number - b.number || 0 : a.text.localeCompare(b.text));
      });
      body.append(...rows.map((one) => one.row));
    });
  });
  if (body.rows.length < 8) continue;
  const find = document.createElement("input");
  find.type = "search";
  find.className = "find";
  find.placeholder = "show rows with these words";
  find.setAttribute("aria-label", find.placeholder);
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.parentElement.before(find);
}
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("section > details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});
