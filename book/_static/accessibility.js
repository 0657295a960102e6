/* What scrolls sideways must be reachable by keyboard: then the arrow keys scroll it. The theme sees to code and tables
   (pydata-sphinx-theme, addTabStops), Chromium to everything; formulas and wide figures are left out elsewhere. */
(() => {
  "use strict";

  const KINDS = {
    "div.math": "Formula, scrolls sideways",
    "div.cell_output": "Output, scrolls sideways",
    "div.course-drawing": "Drawing, scrolls sideways",
  };

  const scrolls = (element) => element.scrollWidth > element.clientWidth; // one pixel is enough for a browser, and for axe

  const update = (targets) => {
    for (const target of targets) {
      if (scrolls(target)) {
        target.tabIndex = 0;
        target.setAttribute("role", "group");
        target.setAttribute("aria-label", KINDS[Object.keys(KINDS).find((kind) => target.matches(kind))]);
      } else {
        for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
      }
    }
  };

  // What is in them keeps its width, figures too (they have their size); a folded one has none until it is unfolded.
  const start = () => {
    const all = [...document.querySelectorAll(Object.keys(KINDS))];
    const observer = new ResizeObserver((entries) => update(entries.map((entry) => entry.target)));
    all.forEach((element) => observer.observe(element));
    document.fonts.addEventListener("loadingdone", () => update(all)); // a formula is wider or narrower in its own font
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
