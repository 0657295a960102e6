/* Python in a thread of its own: loads Pyodide from the site's files, runs one cell after another.
 *
 * Asked: {kind: "start", base, manifest, wheels}, {kind: "run", id, source}. Answers: {kind: "progress", bytes},
 * {kind: "ready", seconds, memory}, {kind: "more", name}, {kind: "output", id, output}, {kind: "again", id}: all of
 * the cell's output comes once more, {kind: "done", id, answer}, {kind: "broken", message}.
 */

const network = self.fetch.bind(self);
let store; // of the browser, by name; null where it keeps none (a private window)
let driver, pyodide, loaded, putFonts;

async function openStore(name, version) {
  try {
    for (const key of await caches.keys()) {
      if (key.startsWith("gradclinic-live-") && key !== name) await caches.delete(key);
    }
    const opened = await caches.open(name);
    for (const { url } of await opened.keys()) {
      if (url.includes("?v=") && !url.endsWith(`?v=${version}`)) await opened.delete(url); // of an earlier site
    }
    return opened;
  } catch {
    return null;
  }
}

/** `fetch` that keeps what it brings for the next visit, and counts the bytes. */
async function fetchAndKeep(asked, options) {
  const url = String(asked.url ?? asked);
  const kept = store && (await store.match(url));
  const answer = kept ?? (await network(asked, options));
  if (!answer.ok) throw new Error(`${url} could not be loaded (${answer.status}).`);
  const pieces = [];
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    postMessage({ kind: "progress", bytes: value.length });
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const whole = new Blob(pieces, { type: url.includes(".wasm") ? "application/wasm" : type });
  const again = () => new Response(whole, { headers: { "Content-Type": whole.type } });
  if (store && !kept) {
    try {
      await store.put(url, again());
    } catch {
      store = null; // no room: the page works, the next visit loads again
    }
  }
  return again();
}

async function start({ base, manifest, wheels }) {
  const began = performance.now();
  store = await openStore(`gradclinic-live-${manifest.store}`, manifest.version);
  self.fetch = fetchAndKeep;
  const own = (name) => `${base}${name}?v=${manifest.version}`;
  const bytes = async (name) => new Uint8Array(await (await fetchAndKeep(own(name))).arrayBuffer());
  const text = async (name) => (await fetchAndKeep(own(name))).text();

  // Pyodide imports this file by its address, past fetch, unless the function is there already.
  const engine = URL.createObjectURL(await (await fetchAndKeep(`${base}pyodide.asm.js`)).blob());
  await import(engine);
  URL.revokeObjectURL(engine);
  const { loadPyodide } = await import(`${base}pyodide.mjs`);
  pyodide = await loadPyodide({
    indexURL: base,
    lockFileURL: `${base}pyodide-lock.json`,
    env: { MPLBACKEND: "agg", HOME: "/home/pyodide" },
    stdout: () => {},
    stderr: () => {},
  });
  loaded = new Set(wheels);
  const quiet = { messageCallback: () => {} };
  await pyodide.loadPackage(wheels, quiet);
  const site = pyodide.runPython("import site; site.getsitepackages()[0]");
  pyodide.unpackArchive(await bytes("gradclinic.zip"), "zip", { extractDir: site });
  const { FS } = pyodide;
  FS.mkdirTree("/live");
  for (const name of ["driver.py", "cells.py"]) FS.writeFile(`/live/${name}`, await text(name));
  FS.writeFile("/live/digits.npz", await bytes("digits.npz"));
  putFonts = async () => FS.writeFile(`${site}/matplotlib/fontlist.json`, await text("fonts.json"));
  if (loaded.has("matplotlib")) await putFonts();
  pyodide.runPython("import sys; sys.path.insert(0, '/live')");
  driver = pyodide.pyimport("driver");
  driver.start(JSON.stringify(manifest.lacking), "/live/digits.npz");
  postMessage({ kind: "ready", seconds: (performance.now() - began) / 1000, memory: memory() });
}

const memory = () => pyodide._module.HEAP8.length;

/** A cell may import what the page did not: of what the site brings, that is loaded first. */
async function loadMore(names) {
  const more = names.filter((name) => ["scipy", "matplotlib"].includes(name) && !loaded.has(name));
  for (const name of more) {
    postMessage({ kind: "more", name });
    await pyodide.loadPackage(name, { messageCallback: () => {} });
    loaded.add(name);
    if (name === "matplotlib") await putFonts();
  }
  return more.length > 0;
}

async function run({ id, source }) {
  await loadMore(JSON.parse(driver.modules_of(source)));
  const handOn = (output) => {
    postMessage({ kind: "output", id, output: output.toJs({ dict_converter: Object.fromEntries }) });
    output.destroy();
  };
  let answer = JSON.parse(driver.run(source, handOn));
  // The package imports SciPy in the functions that need it. Changed code may call one that the page does not.
  if (answer.wants && (await loadMore([answer.wants]))) {
    postMessage({ kind: "again", id });
    answer = JSON.parse(driver.run(source, handOn));
  }
  postMessage({ kind: "done", id, answer: { ...answer, memory: memory() } });
}

self.onmessage = async ({ data }) => {
  try {
    await (data.kind === "start" ? start(data) : run(data));
  } catch (error) {
    postMessage({ kind: "broken", message: String(error.message ?? error) });
  }
};
