// Filters that work together, and the page's address that keeps them: #CLAIM&family=lora&q=words.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const all = (where, what) => [...where.querySelectorAll(what)];
  const rows = all(document, ".numbers tbody tr");
  const groups = all(document, "#claims :is(.panel, .block, .asked:not(.empty), .card)");
  const empty = all(document, "#claims .empty");
  const figures = all(document, "[data-figure]");

  // A line of a plot and the row with its numbers stand in the same order on the page.
  const cases = all(document, "#claims .panel li:not(.axis)").map((line, place) => {
    const of = (what) => line.closest(what);
    const card = of(".card"), asked = of(".asked"), block = of(".block"), panel = of(".panel");
    return {
      line, row: rows[place], groups: [card, asked, block, panel],
      claim: [card.id], model: [block.dataset.model], measure: [panel.dataset.measure],
      family: (line.dataset.f || "").split(" "), footing: [(line.querySelector("i") || {}).textContent], verdict: [line.querySelector("b").textContent],
      words: [card.querySelector("h3"), asked.querySelector("h4"), line].map((e) => e.textContent).join(" ").toLowerCase(),
    };
  });

  const fits = (one, name, value) => name === "q"
    ? value.toLowerCase().split(/\s+/).every((word) => one.words.includes(word))
    : one[name].includes(value);

  function apply() {
    const chosen = [...new FormData(form)].filter(([, value]) => value.trim());
    const seen = new Set(), counts = new Map();
    let shown = 0;
    for (const one of cases) {
      const visible = chosen.every(([name, value]) => fits(one, name, value.trim()));
      one.line.hidden = one.row.hidden = !visible;
      if (!visible) continue;
      shown += 1;
      one.groups.forEach((group) => seen.add(group));
      const cell = [one.claim, one.measure, one.verdict].join();
      counts.set(cell, (counts.get(cell) || 0) + 1);
    }
    groups.forEach((group) => { group.hidden = !seen.has(group); });
    empty.forEach((part) => { part.hidden = chosen.length > 0; });
    const values = Object.fromEntries(chosen);
    figures.forEach((figure) => {
      figure.hidden = ["model", "family", "measure"].some((name) =>
        values[name] && figure.dataset[name] && !figure.dataset[name].split(" ").includes(values[name]));
    });
    for (const row of all(document, "#counts tbody tr")) {
      for (const chip of all(row, "[data-verdict]")) {
        const n = counts.get([row.dataset.claim, chip.parentNode.dataset.measure, chip.dataset.verdict].join()) || 0;
        chip.hidden = n === 0;
        chip.firstChild.textContent = n;
      }
      row.hidden = !all(row, "[data-verdict]").some((chip) => !chip.hidden);
    }
    const claims = new Set(cases.filter((one) => !one.line.hidden).map((one) => one.claim[0])).size;
    count.textContent = chosen.length
      ? `${shown} of ${cases.length} cases shown, of ${claims} claim${claims === 1 ? "" : "s"}`
      : `${shown} cases of ${claims} claim${claims === 1 ? "" : "s"}`;
    return new URLSearchParams(chosen).toString();
  }

  function write(anchor, chosen) {
    const hash = [anchor && encodeURIComponent(anchor), chosen].filter(Boolean).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function read() {
    const parts = location.hash.slice(1).split("&").filter(Boolean);
    const anchor = parts.length && !parts[0].includes("=") ? decodeURIComponent(parts.shift()) : "";
    // A plain link within the page leaves the filters as they are.
    if (parts.length || !anchor) {
      const wanted = new URLSearchParams(parts.join("&"));
      for (const field of form.elements) {
        if (!field.name) continue;
        field.value = wanted.get(field.name) || "";
        if (field.selectedIndex === -1) field.value = "";
      }
    }
    let chosen = apply();
    const target = anchor && document.getElementById(anchor);
    if (target) {
      if (target.closest("[hidden]")) { form.reset(); chosen = apply(); }
      target.scrollIntoView();
    }
    write(anchor, chosen);
  }

  form.addEventListener("input", () => write("", apply()));
  form.addEventListener("reset", () => setTimeout(() => write("", apply())));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", read);
  const tables = document.getElementById("tables");
  tables.addEventListener("click", () => {
    const open = tables.getAttribute("aria-pressed") === "false";
    tables.setAttribute("aria-pressed", open);
    all(document, "details").forEach((one) => { one.open = open; });
  });
  read();
})();
