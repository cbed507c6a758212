// Sorts the index of recordings by a column: a click on its heading, once more for the other way.

function compare(a, b) {
  const [x, y] = [a, b].map((text) => (text === "" ? NaN : Number(text)));
  if (Number.isNaN(x) || Number.isNaN(y)) return a.localeCompare(b, "en", { numeric: true });
  return x - y;
}

function sortBy(column, heading) {
  const body = document.querySelector("tbody");
  const down = heading.getAttribute("aria-sort") !== "descending";
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)) * (down ? -1 : 1));
  for (const other of document.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows);
}

if (typeof document !== "undefined") {
  document.querySelectorAll("thead th").forEach((heading, column) => {
    heading.querySelector("button").onclick = () => sortBy(column, heading);
  });
}
