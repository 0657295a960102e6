/* Any page as slides, for a projector: its address with ?slides. Nothing is copied: the parts of the page are shown a
   screen at a time, so figures follow their knobs, and an answer stays folded until the class has given its own. */
(() => {
  "use strict";

  const LEFT_OUT = "#exercises, #deeper, #what-the-sources-say, #further-reading, .tag_checks, .tag_remove-cell";
  const query = new URLSearchParams(location.search);
  if (!query.has("slides")) return;

  // The smallest parts that are shown or not; sections only hold them.
  const partsOf = (section) =>
    [...section.children]
      .filter((child) => !child.matches(LEFT_OUT))
      .flatMap((child) => (child.matches("section") ? partsOf(child) : [child]));

  const isHeading = (part) => part.matches("h1, h2, h3, h4");
  const isQuestion = (part) => part.matches("p") && /^Predict\b/.test(part.querySelector("strong")?.textContent ?? "");
  const isFigure = (part) => part.querySelector(".interactive") !== null; // draws itself when it is seen: a slide of its own
  const begins = (part) => part.matches("h1, h2") || isQuestion(part) || isFigure(part);

  const start = () => {
    document.documentElement.classList.add("slides");
    const article = document.querySelector("article.bd-article");
    article.querySelectorAll(LEFT_OUT).forEach((element) => element.classList.add("off-slide"));
    const parts = partsOf(article.querySelector("section")).filter((part) => part.getClientRects().length);
    const bar = document.createElement("nav");
    bar.className = "slides-bar";
    bar.setAttribute("aria-label", "Slides");
    bar.innerHTML = `<button type="button" data-step="-1">back</button> <span role="status"></span>
      <button type="button" data-step="1">on</button> <a>the page</a>`;
    document.body.append(bar);
    let slides = [];
    let here = 0;

    // As many parts as fit the screen; a heading stands with what comes after it, a formula with what comes before.
    const lay = () => {
      const first = slides[here]?.[0];
      parts.forEach((part) => part.classList.remove("off-slide"));
      document.documentElement.classList.remove("slides-figure");
      const room = innerHeight - bar.offsetHeight - 48;
      slides = [];
      for (const part of parts) {
        const last = slides.at(-1);
        const full = last && part.getBoundingClientRect().bottom - last[0].getBoundingClientRect().top > room;
        if (!last || ((begins(part) || isFigure(last.at(-1)) || full) && !last.every(isHeading))) {
          const loose = last && last.length > 1 && (isHeading(last.at(-1)) || part.matches("div.math"));
          slides.push(loose ? [last.pop(), part] : [part]);
        } else last.push(part);
      }
      here = Math.max(0, slides.findIndex((slide) => slide.includes(first)));
      show(first ? here : Number(query.get("slides") || 1) - 1);
    };

    const show = (number) => {
      here = Math.min(Math.max(number, 0), slides.length - 1);
      parts.forEach((part) => part.classList.toggle("off-slide", !slides[here].includes(part)));
      document.documentElement.classList.toggle("slides-figure", slides[here].some(isFigure));
      bar.querySelector("[role=status]").textContent = `slide ${here + 1} of ${slides.length}`;
      const place = slides[here][0].closest("section").id;
      bar.querySelector("a").href = `${location.pathname}#${place}`;
      history.replaceState(null, "", `${location.pathname}?slides=${here + 1}`);
      scrollTo(0, 0);
    };

    // First what does not fit the screen, then the answer, then the next slide.
    const on = () => {
      const folded = slides[here].find((part) => part.matches("details.veil:not([open])"));
      if (scrollY + innerHeight < document.documentElement.scrollHeight - 2) scrollBy(0, 0.8 * innerHeight);
      else if (folded) {
        folded.open = true;
        if (folded.getBoundingClientRect().bottom > innerHeight) folded.scrollIntoView();
      } else show(here + 1);
    };

    const KEYS = {
      ArrowRight: on,
      PageDown: on,
      " ": on,
      ArrowLeft: () => show(here - 1),
      PageUp: () => show(here - 1),
      Home: () => show(0),
      End: () => show(slides.length - 1),
      Escape: () => bar.querySelector("a").click(),
    };
    addEventListener("keydown", (event) => {
      const own = event.key === " " ? "button, summary, a, input" : "input, select, pre, [role=group]";
      if (event.altKey || event.ctrlKey || event.metaKey || !KEYS[event.key]) return;
      if (event.target.closest("textarea, [contenteditable]") || event.target.matches(own)) return;
      event.preventDefault();
      KEYS[event.key]();
    });
    bar.addEventListener("click", (event) => {
      const step = event.target.dataset.step;
      if (step) step === "1" ? on() : show(here - 1);
    });
    addEventListener("resize", lay);
    lay();
  };

  addEventListener("load", () => document.fonts.ready.then(start)); // figures and formulas have their sizes then
})();
