// What the pages do beyond being read. Without this file everything is shown and nothing is lost.
"use strict";

// on a first visit the theme finds no mode, and reports that as an error before it takes this one
document.documentElement.dataset.mode ||= "auto";

/** Add filters by paper and verdict above the ledger's cards. */
function addLedgerFilters() {
  const strip = document.querySelector(".ledger-strip");
  if (!strip) return;
  const cards = [...document.querySelectorAll(".ledger-card")];
  const letter = (card) => [...card.classList].find((name) => name.startsWith("source-")).slice(-1);
  const verdict = (card) => card.querySelector(".verdict").textContent;
  const heading = (card) => card.closest("section").querySelector("h2").firstChild.textContent;
  const papers = new Map(cards.map((card) => [letter(card), heading(card)]));
  const verdicts = new Map(cards.map((card) => [verdict(card), verdict(card)]));

  const filters = document.createElement("form");
  filters.className = "ledger-filters";
  const choice = (label, options) => {
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...[...options].map(([value, text]) => new Option(text, value)));
    const named = document.createElement("label");
    named.append(label, " ", select);
    filters.append(named);
    return select;
  };
  const paper = choice("Document", papers);
  const found = choice("Verdict", verdicts);
  const shown = document.createElement("output");
  filters.append(shown);
  strip.before(filters);

  const apply = () => {
    let count = 0;
    for (const card of cards) {
      const fits = (!paper.value || letter(card) === paper.value) && (!found.value || verdict(card) === found.value);
      card.hidden = !fits;
      const cell = [...strip.children].find((link) => link.hash === `#${card.id}`);
      cell.classList.toggle("dimmed", !fits);
      count += fits;
    }
    shown.textContent = `${count} of ${cards.length} rows`;
  };
  filters.addEventListener("change", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  // a link to a card that is filtered out shows everything again
  const follow = () => {
    const card = document.getElementById(location.hash.slice(1));
    if (card && card.hidden) {
      filters.reset();
      apply();
      card.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", follow);
  apply();
}

/** Let a click, or Enter, open a figure as large as the window; Escape or a click closes it. */
function enlargePictures() {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "The picture, enlarged");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  const large = document.createElement("img");
  dialog.append(close, large);
  dialog.addEventListener("click", () => dialog.close());
  for (const picture of document.querySelectorAll(".cell_output img, .bd-article figure img")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.title = "Open the picture large";
    // without this script a click follows the link that Sphinx puts around a picture
    const link = picture.closest("a.image-reference, a.reference.image-reference");
    (link || picture).replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      large.src = picture.currentSrc || picture.src;
      large.alt = picture.alt;
      dialog.showModal();
    });
  }
  document.body.append(dialog);
}

/** Let folded cells that show nothing join the fold of the cell after them: one mark in place of a row of marks. */
function joinFolds() {
  const fold = (cell) => cell?.matches("div.cell") && cell.querySelector(":scope > details.hide");
  for (const cell of document.querySelectorAll(".bd-article div.cell:not(:has(.cell_output))")) {
    const own = fold(cell);
    const next = fold(cell.nextElementSibling);
    if (!own || !next) continue;
    next.querySelector(":scope > summary").after(...own.querySelectorAll(":scope > .cell_input"));
    cell.remove();
  }
}

document.addEventListener("DOMContentLoaded", () => {
  addLedgerFilters();
  joinFolds();
  enlargePictures();
});
