// Sorting, search and links into closed parts. The page can be read without it.
"use strict";

// --- sorting ---------------------------------------------------------------------------------------------------------

const GAPS = new Set(["", "–", "—", "-"]);

// "69.97 ± 0.06*†" is 69.97, "1,234" is 1234, "12 %" is 12; undefined where there is no number at the beginning.
function asNumber(text) {
  const found = /^[✓▲▼✗·†]?\s*([+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[+\-]?\d+)?)(?![\w.])/i.exec(text);
  const number = found?.[1] ? Number(found[1].replaceAll(",", "").replace("−", "-")) : NaN;
  return Number.isNaN(number) ? undefined : number;
}

const wordsOf = (cell) => cell.textContent.trim().replace(/\s+/g, " ");

// Gaps last, whichever way; numbers by size where all of a column are numbers, else words as people order them.
function order(rows, column, sign) {
  const keys = new Map(rows.map((row) => [row, wordsOf(row.cells[column])]));
  const told = rows.filter((row) => !GAPS.has(keys.get(row)));
  const gaps = rows.filter((row) => GAPS.has(keys.get(row)));
  const numeric = told.every((row) => asNumber(keys.get(row)) !== undefined);
  const compare = numeric
    ? (one, other) => asNumber(keys.get(one)) - asNumber(keys.get(other))
    : (one, other) => keys.get(one).localeCompare(keys.get(other), "en", { numeric: true });
  return [...told.sort((one, other) => sign * compare(one, other)), ...gaps];
}

// A head sorts up, then down, then back to the order of the page.
function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[head.ariaSort] ?? (head.ariaSort ? null : "ascending");
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? order([...original], column, next === "ascending" ? 1 : -1) : original));
    });
  }
}

document.querySelectorAll("table.sortable").forEach(makeSortable);

// --- search ----------------------------------------------------------------------------------------------------------

const texts = new WeakMap();
const opened = new Set(); // by the search alone

function textOf(element) {
  if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
  return texts.get(element);
}

function show(element, shown) {
  element.toggleAttribute("data-hidden", !shown);
}

function search(typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (element) => { // a line of table2 fits "table2", too
    const text = `${element.closest("[data-part]")?.dataset.part ?? ""} ${textOf(element)}`;
    return words.every((word) => text.includes(word));
  };
  let found = 0;
  for (const element of document.querySelectorAll("[data-row], [data-run]")) {
    const shown = fits(element);
    show(element, shown);
    found += shown;
  }
  for (const part of [...document.querySelectorAll("[data-part]")].reverse()) { // inner parts first
    const rows = [...part.querySelectorAll("[data-row]")];
    const some = rows.length ? rows.some((row) => !row.hasAttribute("data-hidden")) : fits(part);
    show(part, some || !words.length);
    if (words.length && some) {
      for (const details of [part.matches("details") ? part : part.querySelector("details"), part.querySelector("details.numbers")]) {
        if (details && !details.open) { details.open = true; opened.add(details); }
      }
    }
  }
  if (!words.length) {
    for (const details of opened) details.open = false;
    opened.clear();
  }
  document.getElementById("found").textContent = words.length ? `${found} ${found === 1 ? "line" : "lines"} and runs` : "";
}

const box = document.getElementById("search");
document.getElementById("search-form").hidden = false;
let waiting;
box.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => search(box.value), 120);
});
document.getElementById("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  search(box.value);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
  }
});

// --- links into closed parts, and paper ------------------------------------------------------------------------------

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[data-hidden]")) { // what a search hid is asked for by name
    box.value = "";
    search("");
  }
  for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  const own = target.matches("article") ? target.querySelector("details") : null;
  if (own) own.open = true;
  target.scrollIntoView({ block: "start" });
}

window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => { // the same link again
  const link = event.target.closest('a[href^="#"]');
  if (link && link.getAttribute("href") === location.hash) reveal();
});
if (location.hash) reveal();

let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
