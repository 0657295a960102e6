/* Joins what blocks.py put into the page: knobs, plots, sentence and table.
 *
 * A block is shown only after everything in it works; until then, without JavaScript, and where anything fails, the
 * figure recorded in the notebook stands there alone. Nothing moves by itself.
 */
(() => {
  "use strict";

  const NEAR = "1200px 0px"; // begin a screen or two before the figure comes into sight
  const QUIET = 400; // ms without a change of a knob before a screen reader is told the sentence

  /** Bokeh, fetched when the first figure comes near: a third of a megabyte that the text above need not wait for. */
  const here = document.currentScript.src;
  let library;
  const loaded = (version) =>
    (library ??= new Promise((done) => {
      const script = document.createElement("script");
      script.src = new URL(`bokeh.min.js?v=${version}`, here).href;
      script.onload = () => {
        window.Bokeh.set_log_level("error");
        done(true);
      };
      script.onerror = () => done(false);
      document.head.append(script);
    }));

  /** The colours of the style sheet as they are now: light, dark, high contrast. */
  function colours(block) {
    const style = getComputedStyle(block);
    return (name) => style.getPropertyValue(`--interactive-${name}`).trim();
  }

  /** Give a plot the page's colours and type. Colours are the tags that bokeh_plots.py gave the glyphs. */
  function paint(block, plot) {
    const colour = colours(block);
    const font = getComputedStyle(block).fontFamily;
    for (const renderer of plot.renderers) {
      const { glyph } = renderer;
      if (renderer.name === "image") {
        const [low, high] = [colour("low"), colour("high")].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
        const mixed = (t) => `#${low.map((value, i) => Math.round(value + (high[i] - value) * t).toString(16).padStart(2, "0")).join("")}`;
        glyph.color_mapper.palette = Array.from({ length: 256 }, (_, i) => mixed(i / 255));
        continue;
      }
      const value = colour(glyph.tags[0]);
      if ("line_color" in glyph) glyph.line_color = value;
      if ("fill_color" in glyph) glyph.fill_color = value;
    }
    plot.title.setv({ text_color: colour("ink"), text_font: font, text_font_size: "14px", text_font_style: "bold" });
    for (const axis of [...plot.below, ...plot.left]) {
      axis.setv({
        axis_label_text_color: colour("ink"),
        axis_label_text_font: font,
        axis_label_text_font_size: "13px",
        axis_label_text_font_style: "normal",
        major_label_text_color: colour("ink"),
        major_label_text_font: font,
        major_label_text_font_size: "12px",
        axis_line_color: colour("ink"),
        major_tick_line_color: colour("ink"),
        minor_tick_line_color: null,
      });
    }
    for (const grid of plot.center) grid.setv({ grid_line_color: colour("grid") });
    plot.outline_line_color = null;
  }

  /** Fill a plot: `shown` has the ends of the axes and, by name, the points of each series. */
  function draw(plot, shown) {
    [plot.x_range.start, plot.x_range.end] = shown.x;
    [plot.y_range.start, plot.y_range.end] = shown.y;
    if (shown.ticks) plot.left[0].ticker.ticks = shown.ticks;
    for (const renderer of plot.renderers) {
      if (renderer.name === "image") continue;
      const { x, y } = shown[renderer.name];
      renderer.data_source.data = { x: x ?? y, y: y ?? x };
    }
  }

  /** A table row; numbers carry their exact value for whoever copies them. */
  function row(cells, tag) {
    const line = document.createElement("tr");
    cells.forEach((content, i) => {
      const made = document.createElement(tag === "th" || i === 0 ? "th" : "td");
      if (made.tagName === "TH") made.scope = tag === "th" ? "col" : "row";
      if (typeof content === "string") made.textContent = content;
      else {
        const number = document.createElement("data");
        [number.value, number.textContent] = [String(content.value), content.text];
        made.append(number);
      }
      line.append(made);
    });
    return line;
  }

  /** Bokeh lets its canvas take the focus for tools' sake; these plots have none, and a stop that does nothing misleads. */
  function skipByKeyboard(element) {
    element.removeAttribute("tabindex");
    for (const inner of [...element.children, ...(element.shadowRoot?.children ?? [])]) skipByKeyboard(inner);
  }

  async function setUp(block) {
    const name = block.dataset.interactive;
    const { knobs, plots, grid } = window.interactive.data[name];
    if (!(await loaded(plots[0].doc.version))) return;
    const cell = block.parentElement;
    const inputs = [...block.querySelectorAll(".interactive-knobs :is(input, select)")];
    const starts = inputs.map((input) => input.value);
    const finding = block.querySelector(".interactive-finding");
    const [head, body] = block.querySelectorAll("thead, tbody");

    block.hidden = false; // Bokeh measures the room it has
    cell.classList.add("interactive-on");
    let drawn;
    try {
      drawn = await Promise.all(
        [...block.querySelectorAll(".interactive-plot")].map(async (place, i) => {
          const views = await window.Bokeh.embed.embed_item(plots[i], place);
          skipByKeyboard(place);
          const plot = views.roots[0].model;
          plot.height = parseInt(getComputedStyle(place).minHeight, 10); // less on a phone
          return plot;
        }),
      );
    } catch (error) {
      block.hidden = true;
      cell.classList.remove("interactive-on");
      throw error;
    }

    const update = () => {
      const index = {};
      const values = {};
      inputs.forEach((input, i) => {
        const at = Number(input.value);
        index[knobs[i].key] = at;
        values[knobs[i].key] = knobs[i].values[at];
        if (input.type !== "range") return; // a list says what is chosen
        input.setAttribute("aria-valuetext", knobs[i].texts[at]);
        input.nextElementSibling.value = knobs[i].texts[at];
      });
      const result = window.interactive.formulas[name](values, grid, index);
      drawn.forEach((plot, i) => draw(plot, result.plots[i]));
      // "w = 4" and "3 %" stay on one line.
      finding.textContent = result.finding.replaceAll(" = ", "\u00a0=\u00a0").replaceAll(" %", "\u00a0%");
      head.replaceChildren(row(result.head, "th"));
      body.replaceChildren(...result.rows.map((cells) => row(cells, "td")));
    };

    // A screen reader hears the sentence once the knob has come to rest; everybody sees it at once.
    let pending;
    const changed = () => {
      finding.setAttribute("aria-busy", "true");
      clearTimeout(pending);
      pending = setTimeout(() => finding.removeAttribute("aria-busy"), QUIET);
      update();
    };
    inputs.forEach((input) => input.addEventListener("input", changed));
    block.querySelector(".interactive-reset").addEventListener("click", () => {
      inputs.forEach((input, i) => {
        input.value = starts[i];
      });
      changed();
    });
    const recorded = block.querySelector(".interactive-recorded");
    recorded?.addEventListener("click", () => {
      const wanted = recorded.getAttribute("aria-pressed") !== "true";
      recorded.setAttribute("aria-pressed", String(wanted));
      cell.classList.toggle("interactive-both", wanted);
    });

    const repaint = () => drawn.forEach((plot) => paint(block, plot));
    new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme", "data-mode"] });
    repaint();
    update();
    block.dataset.ready = "true";
  }

  const blocks = [...document.querySelectorAll("[data-interactive]")];
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        setUp(target.querySelector(":scope > [data-interactive]"));
      }
    },
    { rootMargin: NEAR },
  );
  blocks.forEach((block) => observer.observe(block.parentElement));
})();
