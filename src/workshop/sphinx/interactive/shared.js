/* What the interactive figures share: numbers as words, points and axes, the sigmoid; and where they register.
 *
 * Each figure is a file of `figures/`:
 *
 *     interactive.figure("NAME", (shared) => (values, grid, index) => ({ plots, finding, head, rows }));
 *
 * `values` has the knobs' values by key, `index` their places in the lists of values, `grid` what gradclinic computed
 * when the site was built. `plots[i]` has `x` and `y`, the ends of the axes, for a log axis `ticks` (see `decades`),
 * and for each series of the plot, by name, its points `{x, y}`. `finding` is the sentence below the plots. A cell of
 * `rows` is text, or a number: {value, text}.
 */
window.interactive = (() => {
  "use strict";

  // Numbers as words.

  const MINUS = "−";
  const NARROW = "\u202f"; // a narrow space that does not break
  const minus = (text) => text.replace("-", MINUS);
  const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const raised = (n) => [...String(n)].map((c) => RAISED[c]).join("");
  const fixed = (value, digits) => minus(value.toFixed(digits)).replace(/^−(0\.?0*)$/, "$1");

  /** A positive number from its decimal logarithm: 0.0024, 1.2 × 10⁻⁷; no such number under- or overflows. */
  function fromLog(log, digits = 2) {
    if (log === -Infinity) return "0";
    if (log > -3 && log < 4) return plain(10 ** log, digits);
    let exponent = Math.floor(log);
    let mantissa = (10 ** (log - exponent)).toPrecision(digits);
    if (Number(mantissa) >= 10) [mantissa, exponent] = [(1).toPrecision(digits), exponent + 1];
    return `${mantissa}${NARROW}×${NARROW}10${raised(exponent)}`;
  }

  /** A number of ordinary size with at least `digits` significant digits, never in exponential notation. */
  function plain(value, digits = 3) {
    if (value === 0) return "0";
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
    return fixed(value, Math.min(decimals, 12));
  }

  /** A knob's value as it is set: 4, 2.5, −0.18. */
  const set = (value) => minus(String(value));

  const scientific = (value, digits = 2) => (value < 0 ? MINUS : "") + fromLog(Math.log10(Math.abs(value)), digits);
  const cell = (value, text) => ({ value, text });
  /** A cell for 10^log: its exact value is written with the exponent apart, so that 1e-400 is not 0. */
  function logCell(log, digits = 3) {
    if (log === -Infinity) return cell(0, "0");
    const exponent = Math.floor(log);
    return cell(`${(10 ** (log - exponent)).toPrecision(12)}e${exponent}`, fromLog(log, digits));
  }

  // What several figures share.

  const range = (n, from = 0) => Array.from({ length: n }, (_, i) => from + i);
  const spaced = (low, high, n) => range(n).map((i) => low + ((high - low) * i) / (n - 1));
  /** Inside what a log axis can show; a zero is left out. */
  const shown = (log) => (log === -Infinity ? NaN : 10 ** Math.max(-300, Math.min(300, log)));

  /** Ends and ticks of a log axis: whole powers of ten, in few sizes so that the axis seldom jumps. Bokeh divides one
   * end by the other, so together they stay below 10^300. */
  function decades(logs, least = 3) {
    const finite = logs.filter(Number.isFinite);
    const sizes = [1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 275];
    const reach = (most) => sizes.find((size) => size >= most - 1e-9) ?? 275;
    const up = reach(Math.max(1, ...finite));
    const down = Math.min(reach(Math.max(least, -Math.min(...finite))), 280 - up);
    const step = [1, 2, 3, 5, 10, 20, 25, 50, 100].find((size) => (down + up) / size <= 7);
    const ticks = range(400, -200).map((i) => i * step).filter((e) => e >= -down && e <= up);
    const margin = 0.03 * (down + up);
    return { y: [10 ** (-down - margin), 10 ** (up + margin)], ticks: ticks.map((e) => 10 ** e) };
  }

  /** sigma(z), right at both ends. */
  const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
  /** ln sigma'(z) = -|z| - 2 ln(1 + e^-|z|), which does not underflow (why/sigmoid-chain, "A quarter"). */
  const logSlope = (z) => -Math.abs(z) - 2 * Math.log1p(Math.exp(-Math.abs(z)));
  const slope = (z) => Math.exp(logSlope(z));
  const log10 = (x) => Math.log(x) / Math.LN10;

  /** The error function for x >= 0. */
  const erf = (x) => {
    // 2 / sqrt pi e^(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!: all terms positive, so nothing cancels
    if (x > 6) return 1;
    let [term, sum] = [x, x];
    for (let n = 1; term > 1e-17 * sum; n += 1) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  };

  const shared = {
    cell, decades, erf, fixed, fromLog, log10, logCell, logSlope, minus, plain, raised, range, scientific,
    set, shown, sigmoid, slope, spaced,
  };

  /** By name: what a figure shows, and its knobs, plots and grid as the build wrote them. */
  const formulas = {};
  const data = {};
  const figure = (name, make) => {
    formulas[name] = make(shared);
  };
  return { data, figure, formulas };
})();
