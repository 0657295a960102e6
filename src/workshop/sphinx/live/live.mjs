/* A page whose cells run: an editor for each, what it prints and draws below it, one worker for all.
 *
 * The recorded output stays until the cell's own replaces it. *Stop* ends the worker, wherever it is, and starts
 * another one from what the browser keeps; the names that cells have made are gone with it, and the page says so.
 */

const QUIET = 250; // ms between two words of progress
const NAMES = { scipy: "SciPy", matplotlib: "Matplotlib" };

export async function start(offer, base) {
  const page = new Page(offer, base);
  await page.begin();
}

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};

const seconds = (value) => (value < 0.095 ? "less than 0.1 s" : `${value.toFixed(value < 9.95 ? 1 : 0)} s`);
const megabytes = (value) => `${(value / 1e6).toFixed(value < 9.95e6 ? 1 : 0)} MB`;
const listed = (titles) => (titles.length > 1 ? `${titles.slice(0, -1).join(", ")} and ${titles.at(-1)}` : titles[0]);

/** Where the editor cannot be loaded: a text field with the same functions. */
function plainEditor(source, label, run) {
  const element = make("textarea", { class: "live-plain", "aria-label": label, spellcheck: "false", autocapitalize: "off" });
  const grow = () => (element.rows = element.value.split("\n").length + 1);
  element.value = source;
  element.addEventListener("input", grow);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.shiftKey || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
  grow();
  return { element, text: () => element.value, set: (text) => ((element.value = text), grow()), mark() {}, focus: () => element.focus() };
}

class Cell {
  constructor(page, element, number, whole) {
    Object.assign(this, { page, element, number, whole, ran: false, state: "new" });
    this.input = element.querySelector(".cell_input");
    this.source = this.input.querySelector("pre").textContent.replace(/\n$/, "");
    const label = `Code of cell ${number}. Shift and Enter runs it; Escape, then Tab, leaves it.`;
    this.editor = page.editor(this.source, label, () => page.run([this]));
    this.buttons = {
      run: make("button", { type: "button", class: "live-button", onclick: () => page.run([this]) }, "Run"),
      above: make("button", { type: "button", class: "live-button", onclick: () => page.run(page.above(this)) }, "Run all above"),
      reset: make("button", { type: "button", class: "live-button", onclick: () => this.reset() }, "Reset"),
    };
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-label", `${button.textContent}: cell ${number}`);
    this.buttons.above.hidden = number === 1;
    this.status = make("span", { class: "live-status", role: "status" });
    const tools = make("div", { class: "live-tools" }, ...Object.values(this.buttons), this.status);
    this.output = make("div", { class: "live-output", role: "group", "aria-label": `Output of cell ${number}`, hidden: true });
    this.input.hidden = true;
    this.input.after(make("div", { class: "live-editor" }, this.editor.element), tools);
    // Where the recorded output is: not inside a fold that holds the code alone.
    const fold = element.classList.contains("tag_hide-cell") ? null : this.input.closest("details");
    const recorded = this.recorded()[0];
    if (recorded) recorded.before(this.output);
    else (fold ?? tools).after(this.output);
    element.classList.add("live-cell");
  }

  recorded() {
    return [...this.element.querySelectorAll(".cell_output")].filter((output) => !output.closest(".live-output"));
  }

  say(state, ...words) {
    this.state = state;
    this.element.dataset.live = state;
    this.status.replaceChildren(...words);
  }

  waits() {
    this.say("waiting", "waits its turn");
  }

  begins() {
    this.fresh = true;
    this.editor.mark(0);
    this.say("running", "runs …");
  }

  /** One piece of output; the first of a run takes the place of the last run's. */
  put({ kind, text, html, png }) {
    if (this.fresh) this.output.replaceChildren();
    this.fresh = false;
    this.output.hidden = false;
    if (kind === "text" || kind === "value") {
      let last = this.output.lastElementChild;
      if (last?.tagName !== "PRE" || last.className || kind === "value") {
        last = make("pre");
        this.output.append(last);
      }
      last.append(text);
    } else if (kind === "warning") {
      this.output.append(make("pre", { class: "live-warning" }, text));
    } else if (kind === "html") {
      const box = make("div");
      box.innerHTML = html;
      this.output.append(box);
    } else {
      this.output.append(make("img", { src: `data:image/png;base64,${png}`, alt: this.figureText() }));
    }
  }

  figureText() {
    const recorded = this.recorded().map((output) => output.querySelector("img")?.alt).find(Boolean);
    return recorded && this.editor.text() === this.source
      ? recorded
      : `Figure of cell ${this.number}, drawn anew from changed code${recorded ? `; as recorded it showed: ${recorded}` : ""}`;
  }

  ends({ ok, seconds: took, lacks, error, left }) {
    if (this.fresh) this.output.replaceChildren();
    this.fresh = false;
    this.ran = ok;
    this.output.hidden = !this.output.childElementCount;
    const own = this.output.childElementCount > 0;
    if (lacks.length) {
      for (const output of this.recorded()) output.classList.remove("live-replaced");
      const colab = this.page.colab;
      const where = colab ? make("a", { href: colab }, "Runs in Colab") : "Runs in Colab";
      const lines = left.length ? " Its other lines have run." : "";
      this.say("framework", `Needs ${listed(lacks)}, which a browser cannot run.${lines} What is shown is the recording. `, where, ".");
      return;
    }
    for (const output of this.recorded()) output.classList.toggle("live-replaced", ok && own);
    if (ok) {
      this.say("done", `ran in ${seconds(took)}`);
      return;
    }
    const place = error.line ? `Line ${error.line}: ` : "";
    this.output.hidden = false;
    this.output.append(
      make("pre", { class: "live-error" }, `${place}${error.name}${error.message ? `: ${error.message}` : ""}`, ...error.steps.map((step) => `\n  ${step}`)),
    );
    this.editor.mark(error.line);
    const hint = error.name === "NameError" && this.number > 1 && !this.page.above(this).every((cell) => cell.ran);
    this.say("failed", `${place}${error.name}, after ${seconds(took)}.${hint ? " The cells above have not all run: “Run all above” does it." : ""}`);
  }

  stopped(words) {
    this.fresh = false;
    this.say("stopped", words);
  }

  reset() {
    this.editor.set(this.source);
    this.editor.mark(0);
    this.output.replaceChildren();
    this.output.hidden = true;
    for (const output of this.recorded()) output.classList.remove("live-replaced");
    this.say("new", "as recorded");
  }
}

class Page {
  constructor(offer, base) {
    Object.assign(this, { offer, base, queue: [], running: null });
    this.wheels = offer.dataset.wheels.split(" ");
    this.colab = document.querySelector('a[href*="colab.research.google.com/github"]')?.href;
  }

  async begin() {
    const style = make("link", { rel: "stylesheet", href: `${this.base}live.css` });
    document.head.append(style);
    this.progress = make("progress", { max: 1, value: 0, "aria-label": "Loading Python" });
    this.words = make("span", { class: "live-status", role: "status" });
    this.offer.replaceChildren(this.progress, this.words);
    this.say("Loading …");
    const answer = await fetch(`${this.base}manifest.json`, { cache: "no-cache" });
    if (!answer.ok) throw new Error("the site's files for it are not there.");
    this.manifest = await answer.json();
    const [{ editor }] = await Promise.all([import(`${this.base}editor.mjs`).catch(() => ({ editor: plainEditor })), this.startWorker()]);
    this.editor = editor;
    const found = [...document.querySelectorAll("div.cell")].filter((cell) => cell.querySelector(":scope > .cell_input pre, :scope > details > .cell_input pre"));
    if (found.length !== this.offer.dataset.cells.length) throw new Error("its cells are not those that the site was built with.");
    this.cells = found.map((element, i) => new Cell(this, element, i + 1, this.offer.dataset.cells[i] === "r"));
    this.tools();
    document.documentElement.classList.add("live-on");
  }

  say(...words) {
    this.words.replaceChildren(...words);
  }

  /** In place of the offer: run everything, stop, and how it stands. */
  tools() {
    this.all = make("button", { type: "button", class: "live-button", onclick: () => this.run(this.cells) }, "Run every cell");
    this.stopper = make("button", { type: "button", class: "live-button", disabled: true, onclick: () => this.stop() }, "Stop");
    this.progress.hidden = true;
    this.offer.replaceChildren(this.all, this.stopper, this.progress, this.words);
    this.all.focus();
  }

  above(cell) {
    return this.cells.slice(0, this.cells.indexOf(cell));
  }

  expected() {
    const names = new Set(Object.keys(this.manifest.bytes).filter((name) => /^(pyodide|python|gradclinic|cells|driver|digits|fonts)/.test(name)));
    names.delete("pyodide.mjs");
    for (const wheel of this.wheels) for (const file of this.manifest.packages[wheel]) names.add(file);
    return [...names].reduce((sum, name) => sum + (this.manifest.bytes[name] ?? 0), 0);
  }

  startWorker() {
    const worker = new Worker(`${this.base}worker.mjs?v=${this.manifest.version}`, { type: "module" });
    const total = this.expected();
    let came = 0;
    let last = 0;
    this.worker = worker;
    this.started = null;
    this.progress.hidden = false;
    this.ready = new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message || "the browser cannot start it."));
      worker.onmessage = ({ data }) => {
        if (data.kind === "progress") {
          came += data.bytes;
          this.progress.value = Math.min(1, came / total);
          if (!this.started && performance.now() - last > QUIET) {
            last = performance.now();
            this.say(came < total * 0.999 ? `Loading: ${megabytes(came)} of ${megabytes(total)}` : "Starting Python …");
          }
        } else if (data.kind === "ready") {
          this.progress.hidden = true;
          this.started = data;
          this.say(`Python is ready, after ${seconds(data.seconds)}. Change a number and run its cell, after those above it.`);
          resolve();
        } else if (data.kind === "more") {
          this.offer.dataset.more = `${this.offer.dataset.more ?? ""} ${data.name}`.trim();
          const size = this.manifest.packages[data.name].reduce((sum, file) => sum + this.manifest.bytes[file], 0);
          this.say(`Loading ${NAMES[data.name]} (at most ${megabytes(size)}), which cell ${this.running?.number} needs …`);
        } else if (data.kind === "broken") {
          reject(new Error(data.message));
          this.broke(data.message);
        } else if (this.running && data.id === this.running.number) {
          if (data.kind === "output") this.running.put(data.output);
          else if (data.kind === "again") this.running.begins();
          else this.ended(data.answer);
        }
      };
    });
    worker.postMessage({ kind: "start", base: this.base, manifest: this.manifest, wheels: this.wheels });
    return this.ready;
  }

  run(cells) {
    for (const cell of cells) {
      if (cell === this.running || this.queue.includes(cell)) continue;
      this.queue.push(cell);
      cell.waits();
    }
    this.next();
  }

  next() {
    const busy = this.running || this.queue.length;
    if (this.stopper) this.stopper.disabled = !busy;
    if (this.running || !this.queue.length || this.restarting) return;
    this.running = this.queue.shift();
    this.running.begins();
    this.worker.postMessage({ kind: "run", id: this.running.number, source: this.running.editor.text() });
  }

  ended(answer) {
    const cell = this.running;
    this.running = null;
    this.offer.dataset.memory = answer.memory;
    cell.ends(answer);
    if (!answer.ok && !answer.lacks.length) this.empty(`not run: cell ${cell.number} failed`);
    this.next();
    if (!this.running) {
      const whole = this.cells.filter(({ state }) => state === "done").length;
      this.say(`${whole} of ${this.cells.length} cells have run here.`);
    }
  }

  empty(words) {
    for (const cell of this.queue.splice(0)) cell.stopped(words);
  }

  /** A loop without an end cannot be asked to stop: its thread is ended, and another begun. */
  async stop() {
    this.worker.terminate();
    const cell = this.running;
    this.running = null;
    cell?.stopped("stopped");
    this.empty("not run");
    for (const other of this.cells) other.ran = false;
    this.restarting = true;
    this.stopper.disabled = true;
    this.say("Stopped. Python starts anew …");
    try {
      await this.startWorker();
      this.say("Python is ready again; what the cells had computed is gone: run the cells above first.");
    } catch (error) {
      this.broke(error.message);
    }
    this.restarting = false;
    this.next();
  }

  broke(message) {
    this.running?.stopped("broke off");
    this.running = null;
    this.empty("not run");
    this.say(`Python broke off: ${message} “Stop” starts it anew.`);
    if (this.stopper) this.stopper.disabled = false;
  }
}
