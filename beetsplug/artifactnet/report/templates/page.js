"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const rowOf = (body) => body.rows[0];
  document.documentElement.classList.add("js");

  // What a cell is sorted by: its number where it has one, else its text.
  const key = (body, column) => {
    const cell = rowOf(body).cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const compare = (a, b) => {
    // What is empty comes last, in either direction.
    if (a === "" || b === "") return null;
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? collator.compare(a, b) : difference;
  };

  const sortBy = (table, header) => {
    const goesDown = header.getAttribute("aria-sort") === "ascending";
    const sign = goesDown ? -1 : 1;
    const keyed = [...table.tBodies].map((body) => [key(body, header.cellIndex), body]);
    keyed.sort(([a], [b]) => {
      const order = compare(a, b);
      return order === null ? (a === "") - (b === "") : sign * order;
    });
    table.append(...keyed.map(([, body]) => body));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", goesDown ? "descending" : "ascending");
  };

  const filter = (listing, bodies) => {
    const column = Number(listing.dataset.filteredBy);
    const words = listing.querySelector("input").value.toLowerCase().split(/\s+/);
    const wanted = listing.querySelector("select").value;
    let count = 0;
    for (const body of bodies) {
      const row = rowOf(body);
      const text = row.textContent.toLowerCase();
      const isWanted = !wanted || row.cells[column].textContent.trim() === wanted;
      body.hidden = !(isWanted && words.every((word) => text.includes(word)));
      count += body.hidden ? 0 : 1;
    }
    listing.querySelector("output").value = `${count} of ${bodies.length} shown`;
  };

  for (const listing of all(".listing")) {
    const table = listing.querySelector("table");
    const bodies = [...table.tBodies];
    const column = Number(listing.dataset.filteredBy);
    const words = new Set(bodies.map((b) => rowOf(b).cells[column].textContent.trim()));
    for (const word of [...words].filter(Boolean).sort()) {
      listing.querySelector("select").add(new Option(word, word));
    }
    for (const header of table.tHead.rows[0].cells) {
      header.addEventListener("click", () => sortBy(table, header));
    }
    const form = listing.querySelector("form");
    // A driven browser sends a select element no input event.
    for (const event of ["input", "change"]) {
      form.addEventListener(event, () => filter(listing, bodies));
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    filter(listing, bodies);
  }

  const openerOf = (row) => row.querySelector(".opener");
  const detailOf = (row) => row.parentElement.querySelector(".detail");
  const open = (row, isOpen) => {
    openerOf(row).setAttribute("aria-expanded", String(isOpen));
    detailOf(row).classList.toggle("open", isOpen);
  };
  const play = (audio, at) => {
    for (const other of all("audio")) if (other !== audio) other.pause();
    if (at !== undefined) audio.currentTime = at;
    audio.play();
  };
  for (const button of all(".opener")) {
    const row = button.closest("tr");
    button.addEventListener("click", () => {
      choose(row);
      open(row, button.getAttribute("aria-expanded") !== "true");
    });
  }
  for (const place of all("[data-at]")) {
    const audio = place.closest(".detail").querySelector("audio");
    if (audio) place.addEventListener("click", () => play(audio, Number(place.dataset.at)));
  }

  // j and k walk through the shown rows, enter opens one, p plays it.
  let current = null;
  const choose = (row) => {
    if (current) current.classList.remove("current");
    current = row;
    row.classList.add("current");
  };
  const step = (by) => {
    const rows = all(".listing tbody:not([hidden])").map(rowOf);
    if (!rows.length) return;
    const place = rows.indexOf(current);
    const next = place < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, place + by));
    choose(rows[next]);
    (openerOf(current) ?? current).focus({ preventScroll: true });
    current.scrollIntoView({ block: "nearest" });
  };
  const playCurrent = () => {
    const audio = current?.parentElement.querySelector("audio");
    if (!audio) return;
    open(current, true);
    if (audio.paused) play(audio);
    else audio.pause();
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, audio");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "p") playCurrent();
    else return;
    event.preventDefault();
  });
})();
