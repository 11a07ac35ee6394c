"use strict";
(() => {
  const form = document.getElementById("filter");
  const rows = Array.from(document.querySelectorAll("tr[data-state]"));
  const reveal = () => {
    const part = location.hash.startsWith("#part-") && document.getElementById(location.hash.slice(1));
    if (part) {
      part.closest("details").open = true;
      part.scrollIntoView({ block: "center" });
    }
  };
  addEventListener("hashchange", reveal);
  reveal();
  if (!form) return;
  const text = document.getElementById("filter-text");
  const count = document.getElementById("filter-count");
  const boxes = Array.from(form.querySelectorAll("input[type=checkbox]"));
  const words = rows.map((row) => row.cells[1].textContent.toLowerCase());
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    const states = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !states.has(row.dataset.state) || !words[i].includes(wanted);
      shown += row.hidden ? 0 : 1;
    });
    const narrowed = shown < rows.length;
    document.querySelectorAll("details.case").forEach((details) => {
      const some = details.querySelector("tr[data-state]:not([hidden])") !== null;
      details.hidden = !some;
      if (narrowed && some) details.open = true;
    });
    count.textContent = narrowed ? `${shown} of ${rows.length}` : "";
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
})();
