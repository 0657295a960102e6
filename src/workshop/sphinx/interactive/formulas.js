/* What each interactive figure shows at a setting of its knobs.
 *
 * One function a figure: (knobs, grid) -> {plots, finding, head, rows}. `plots[i]` has `x` and `y`, the ends of the axes,
 * for a log axis `ticks`, and for
 * each series of the plot, by name, its points. `finding` is the sentence below the plots. A cell of `rows` is
 * text, or a number: {value, text}. Closed forms are computed here, each named with the page that derives it; the rest
 * is read from `grid`, which gradclinic computed when the site was built (src/workshop/sphinx/interactive.py).
 */
(() => {
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

  /** Ends and ticks of a log axis: whole powers of ten, in few sizes so that the axis seldom jumps. */
  function decades(logs, least = 3) {
    const finite = logs.filter(Number.isFinite);
    const sizes = [1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 295];
    const reach = (most) => sizes.find((size) => size >= most - 1e-9) ?? 295;
    const down = reach(Math.max(least, -Math.min(...finite)));
    const up = reach(Math.max(1, ...finite));
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

  const figures = {};

  /* why/sigmoid-chain, "One line" and "A quarter".
   *   z_1 = w x + b, z_l = w sigma(z_{l-1}) + b, x = 1/2;
   *   dy/db_l = sigma'(z_l) prod_{i > l} w sigma'(z_i) <= 1/4 (w/4)^(L - l). */
  figures.chain = ({ w, b, depth }) => {
    const z = [];
    let a = 0.5;
    for (let l = 0; l < depth; l += 1) {
      z.push(w * a + b);
      a = sigmoid(z[l]);
    }
    const gradient = [];
    let above = 0;
    for (let l = depth - 1; l >= 0; l -= 1) {
      gradient[l] = above + logSlope(z[l]) / Math.LN10;
      above = gradient[l] + log10(w);
    }
    const layers = range(depth, 1);
    const bound = layers.map((l) => log10(0.25) + (depth - l) * log10(w / 4));
    const mean = 10 ** ((gradient[0] - gradient[depth - 1]) / (depth - 1));
    const wide = Math.max(6, ...z.map((value) => Math.abs(value) + 1));
    const axis = spaced(-wide, wide, 241);
    const missed = bound[0] - gradient[0];
    const reached =
      missed < 1e-9
        ? "it is reached, for every neuron sits at z = 0"
        : missed < 0.5
          ? `${plain(100 * 10 ** -missed, 2)} % of it is reached`
          : `it is missed by ${fixed(missed, 1)} powers of ten`;
    return {
      plots: [
        {
          x: [0.5, depth + 0.5],
          ...decades([...gradient, ...bound], 6),
          bound: { x: layers, y: bound.map(shown) },
          gradient: { x: layers, y: gradient.map(shown) },
        },
        {
          x: [-wide, wide],
          y: [0, 0.29],
          slope: { x: axis, y: axis.map(slope) },
          neurons: { x: z, y: z.map(slope) },
        },
      ],
      finding:
        `With w = ${set(w)}, b = ${set(b)} and ${depth} layers the first bias has the gradient ` +
        `${fromLog(gradient[0])}. The bound is ${fromLog(bound[0])}; ${reached}. On average a layer multiplies the ` +
        `gradient by ${plain(mean, 2)}, the bound by w/4 = ${set(w / 4)}.`,
      head: ["layer", "z", "σ′(z)", "factor w σ′(z)", "|∂y/∂b|", "bound"],
      rows: layers.map((l, i) => [
        cell(l, String(l)),
        cell(z[i], fixed(z[i], 3)),
        cell(slope(z[i]), scientific(slope(z[i]), 3)),
        cell(w * slope(z[i]), scientific(w * slope(z[i]), 3)),
        logCell(gradient[i]),
        logCell(bound[i]),
      ]),
    };
  };

  /* why/sigmoid-chain, "The window".
   *   |w sigma'(w a + b)| >= 1 iff |w a + b| <= 2 artanh r, r = sqrt(1 - 4/w): centre -b/w, width 4 artanh(r) / w. */
  const windowWidth = (w) => (w <= 4 ? 0 : (4 * Math.atanh(Math.sqrt(1 - 4 / w))) / w);
  const windowEnds = (w, b) => [-b / w - windowWidth(w) / 2, -b / w + windowWidth(w) / 2];
  const within = (w, b) => {
    const [low, high] = windowEnds(w, b);
    return Math.max(0, Math.min(1, high) - Math.max(0, low));
  };
  figures.window = ({ w, b }) => {
    const factor = (a) => w * slope(w * a + b);
    // Every 1/400 of the axis, and the peak itself where it is in sight.
    const inputs = [...spaced(0, 1, 401), -b / w].filter((a) => a >= 0 && a <= 1).sort((p, q) => p - q);
    const [low, high] = windowEnds(w, b);
    const width = windowWidth(w);
    const share = within(w, b);
    const sizes = [...spaced(1, 4, 4), ...spaced(4, 5, 41), ...spaced(5, 40, 141)];
    const top = Math.max(1.2, ...inputs.map(factor));
    const where =
      w < 4
        ? `at most w/4 = ${set(w / 4)}, at any input and for any bias: there is no window`
        : `at least 1 for inputs a from ${fixed(low, 3)} to ${fixed(high, 3)}, a window of width ${fixed(width, 3)} around ` +
          `−b/w = ${fixed(-b / w, 3)}; ${fixed(100 * share, 1)} % of the inputs between 0 and 1 are in it. The peak is ` +
          `w/4 = ${set(w / 4)}`;
    const places = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
    return {
      plots: [
        {
          x: [0, 1],
          y: [0, top * 1.06],
          window: { x: share > 0 ? [Math.max(0, low)] : [], y: share > 0 ? [Math.min(1, high)] : [] },
          one: { y: [1] },
          factor: { x: inputs, y: inputs.map(factor) },
        },
        {
          x: [0, 40.5],
          y: [0, 0.5],
          width: { x: sizes, y: sizes.map(windowWidth) },
          inside: { x: sizes, y: sizes.map((size) => within(size, b)) },
          here: { x: [w], y: [width] },
        },
      ],
      finding: `With w = ${set(w)} and b = ${set(b)} the factor is ${where}.`,
      head: ["what", "value"],
      rows: [
        ["peak w/4", cell(w / 4, plain(w / 4))],
        ["width of the window", cell(width, fixed(width, 4))],
        ["its lower edge", w < 4 ? "none" : cell(low, fixed(low, 4))],
        ["its upper edge", w < 4 ? "none" : cell(high, fixed(high, 4))],
        ["share of the inputs (0, 1)", cell(share, fixed(share, 4))],
        ...places.map((a) => [`factor at a = ${a}`, cell(factor(a), scientific(factor(a), 3))]),
      ],
    };
  };

  /* remedies/initialization, "Why: two conditions on one number" and "Predict: a hundred layers".
   *   forward  q_1 = sigma_w^2, q_l = sigma_w^2 E phi(sqrt(q_{l-1}) u)^2, rms of z = sqrt(q_l);
   *   backward |delta_l| / |delta_{l+1}| = sqrt(sigma_w^2 E phi'(sqrt(q_l) u)^2).
   * ReLU: both sigma_w / sqrt 2 per layer. The others: a grid. */
  figures.initialization = ({ gain, depth }, grid) => {
    const at = grid.gains.indexOf(gain);
    const layers = range(depth, 1);
    const held = (list, i) => list[Math.min(i, list.length - 1)];
    const forward = { relu: layers.map((l) => log10(gain) + (l - 1) * log10(gain / Math.SQRT2)) };
    const backward = { relu: layers.map((l) => (depth - l) * log10(gain / Math.SQRT2)) };
    const deep = { relu: gain / Math.SQRT2 };
    for (const name of ["sigmoid", "tanh"]) {
      forward[name] = layers.map((l) => held(grid[name].size[at], l - 1));
      backward[name] = [];
      let sum = 0;
      for (let l = depth; l >= 1; l -= 1) {
        if (l < depth) sum += held(grid[name].factor[at], l - 1);
        backward[name][l - 1] = sum;
      }
      deep[name] = grid[name].deep[at];
    }
    const names = { sigmoid: "sigmoid", tanh: "tanh", relu: "ReLU" };
    const curves = (logs) =>
      Object.fromEntries(Object.keys(names).map((name) => [name, { x: layers, y: logs[name].map(shown) }]));
    const plot = (logs) => ({
      x: [0.5, depth + 0.5],
      ...decades(Object.values(logs).flat()),
      one: { y: [1] },
      ...curves(logs),
    });
    const each = (words) => Object.entries(names).map(([name, label]) => `${words(name)} (${label})`).join(", ");
    const level = Object.keys(names).filter((name) => Math.abs(backward[name][0]) <= 2).map((name) => names[name]);
    return {
      plots: [plot(forward), plot(backward)],
      finding:
        `At gain ${plain(gain)}, through ${depth} layers, the gradient changes by ` +
        `${each((name) => fromLog(backward[name][0]))}; the last layer's signal has the rms ` +
        `${each((name) => fromLog(forward[name][depth - 1]))}. Gradient within a factor of 100: ` +
        `${level.join(", ") || "none"}.`,
      head: ["activation", "gradient, first over last", "factor per layer, deep inside", "rms of z, layer 1", "rms of z, last layer"],
      rows: Object.entries(names).map(([name, label]) => [
        label,
        logCell(backward[name][0]),
        cell(deep[name], plain(deep[name])),
        logCell(forward[name][0]),
        logCell(forward[name][depth - 1]),
      ]),
    };
  };

  /* why/recurrence, "How far back".
   *   linear: rho^lag; tanh: f^lag, f = rho sqrt(E tanh'(sqrt(q) u)^2) at the fixed point q of the variance (grid). */
  figures.recurrence = ({ rho, v, lag }, grid, index) => {
    const f = grid.tanh[index.v][index.rho];
    const critical = grid.critical[index.v];
    const lags = range(lag + 1);
    const linear = lags.map((t) => t * log10(rho));
    const tanh = lags.map((t) => t * log10(f));
    const trend = (x) => (Math.abs(Math.log(x)) * lag < Math.log(10) ? "stays within a factor of 10" : x < 1 ? "vanishes" : "explodes");
    const samples = range(11).map((i) => Math.round((i * lag) / 10));
    return {
      plots: [
        {
          x: [0, lag],
          ...decades([...linear, ...tanh]),
          one: { y: [1] },
          linear: { x: lags, y: linear.map(shown) },
          tanh: { x: lags, y: tanh.map(shown) },
        },
        {
          x: [0.45, 2.05],
          y: [0.2, 2.1],
          one: { y: [1] },
          linear: { x: [0.5, 2], y: [0.5, 2] },
          tanh: { x: grid.rho, y: grid.tanh[index.v] },
          here: { x: [rho] },
          points: { x: [rho, rho], y: [rho, f] },
        },
      ],
      finding:
        `At ρ = ${set(rho)} over ${lag} steps the linear network's gradient ${trend(rho)} ` +
        `(${fromLog(lag * log10(rho))}); with tanh and input of variance ${v} it ${trend(f)} ` +
        `(${fromLog(lag * log10(f))}), at ${fixed(f, 3)} per step. For this input the tanh network keeps its gradient at ` +
        `ρ = ${fixed(critical, 2)}.`,
      head: ["time lag", "linear", "tanh"],
      rows: samples.map((t) => [cell(t, String(t)), logCell(t * log10(rho)), logCell(t * log10(f))]),
    };
  };

  /* why/recurrence, "Why the spectral radius, and why not".
   *   W^k = [[rho^k, k c rho^(k-1)], [0, rho^k]]; the largest singular value of [[d, e], [0, d]] is
   *   (|e| + sqrt(e^2 + 4 d^2)) / 2. Divided by rho^k, nothing underflows. */
  figures.transient = ({ rho, c, lag }) => {
    const powers = range(lag + 1);
    const corner = (k) => (k * c) / rho;
    const norm = powers.map((k) => k * log10(rho) + log10((corner(k) + Math.sqrt(corner(k) ** 2 + 4)) / 2));
    const top = norm.indexOf(Math.max(...norm));
    const below = norm.findIndex((value, k) => k > top && value < 0);
    const plot = {
      x: [0, lag],
      ...decades([...norm, lag * log10(rho)]),
      one: { y: [1] },
      radius: { x: powers, y: powers.map((k) => shown(k * log10(rho))) },
      norm: { x: powers, y: norm.map(shown) },
      peak: { x: [top], y: [shown(norm[top])] },
    };
    const story =
      top === 0
        ? "the norm falls from the first step on"
        : top === lag
          ? `the norm still grows at k = ${lag}, where it is ${fromLog(norm[top])}`
          : `the norm grows to ${fromLog(norm[top])} at k = ${top} ` +
            (below < 0 ? `and is ${fromLog(norm[lag])} at k = ${lag}` : `and falls below 1 at k = ${below}`);
    const samples = [...new Set([...range(11).map((i) => Math.round((i * lag) / 10)), top])].sort((p, q) => p - q);
    return {
      plots: [plot],
      finding:
        `With ρ = ${set(rho)} and c = ${set(c)} ${story}; ρᵏ alone would be ${fromLog(lag * log10(rho))} ` +
        `at k = ${lag}. On average a step multiplies the norm by ${fixed(10 ** (norm[lag] / lag), 3)}.`,
      head: ["k", "norm of Wᵏ", "ρᵏ"],
      rows: samples.map((k) => [cell(k, String(k)), logCell(norm[k]), logCell(k * log10(rho))]),
    };
  };

  /* remedies/lstm, "Predict": the carousel sigma(b)^lag. All paths: medians of ten networks each, from a grid. */
  figures.lstm = ({ bias, lag }, grid, index) => {
    const carousel = (b, t) => -t * log10(1 + Math.exp(-b));
    const lags = range(101);
    const lstm = grid.lstm[index.bias];
    const gru = grid.gru[index.bias];
    const over = (kind) => grid.biases.map((_, i) => grid[kind][i][lag]);
    const alone = grid.biases.map((b) => carousel(b, lag));
    const against = lags.map((t) => carousel(bias, t));
    const excess = lstm[lag] - carousel(bias, lag);
    const samples = [...new Set([...range(11).map((i) => 10 * i), lag])].sort((p, q) => p - q);
    return {
      plots: [
        {
          x: [0, 100],
          ...decades([...against, ...lstm, ...gru]),
          one: { y: [1] },
          carousel: { x: lags, y: against.map(shown) },
          lstm: { x: lags, y: lstm.map(shown) },
          gru: { x: lags, y: gru.map(shown) },
        },
        {
          x: [-1.15, 6.15],
          ...decades([...alone, ...over("lstm"), ...over("gru")]),
          one: { y: [1] },
          carousel: { x: grid.biases, y: alone.map(shown) },
          lstm: { x: grid.biases, y: over("lstm").map(shown) },
          gru: { x: grid.biases, y: over("gru").map(shown) },
          here: { x: [bias] },
          points: { x: [bias], y: [shown(lstm[lag])] },
        },
      ],
      finding:
        `With forget bias ${set(bias)} the gate is ${fixed(sigmoid(bias), 3)}. After ${lag} ${lag === 1 ? "step" : "steps"} the carousel alone ` +
        `leaves ${fromLog(carousel(bias, lag))} of the gradient; an LSTM with all its paths has ${fromLog(lstm[lag])}, ` +
        `${fixed(Math.abs(excess), 1)} powers of ten ${excess < 0 ? "less" : "more"}; a GRU with this bias ${fromLog(gru[lag])}.`,
      head: ["time lag", "carousel", "LSTM", "GRU"],
      rows: samples.map((t) => [
        cell(t, String(t)),
        logCell(carousel(bias, t)),
        logCell(lstm[t], 2),
        logCell(gru[t], 2),
      ]),
    };
  };

  /* remedies/clipping, "The cliff": h_t = w sigma(h_{t-1}) + b, h_0 = 1/2, fifty steps, loss (h_50 - 0.7)^2, and the
   * derivatives of h by w and b carried along. Descent with a rate that falls from 0.01 to 0 over 300 steps and
   * g min(1, limit / |g|). On the wall the last digit of exp decides where a zigzag goes. */
  const oneUnit = (w, b) => {
    let [h, dw, db] = [0.5, 0, 0];
    for (let t = 0; t < 50; t += 1) {
      const s = sigmoid(h);
      [h, dw, db] = [w * s + b, s + w * s * (1 - s) * dw, 1 + w * s * (1 - s) * db];
    }
    return { loss: (h - 0.7) ** 2, g: [2 * (h - 0.7) * dw, 2 * (h - 0.7) * db] };
  };
  const STEPS = 300;
  const descend = ([w, b], limit) => {
    const path = [];
    for (let k = 0; k <= STEPS; k += 1) {
      const { loss, g } = oneUnit(w, b);
      const size = Math.hypot(...g);
      path.push({ k, w, b, loss, size });
      const step = 0.01 * (1 - k / STEPS) * Math.min(1, limit / Math.max(size, 1e-30));
      [w, b] = [w - step * g[0], b - step * g[1]];
    }
    return path;
  };
  figures.clipping = ({ limit, offset }) => {
    const wall = (w) => 0.5 - w * sigmoid(0.5);
    const start = [4.8, wall(4.8) + offset];
    const path = descend(start, limit);
    const free = descend(start, Infinity);
    const away = path.map((p) => Math.hypot(p.w - start[0], p.b - start[1]));
    const far = Math.max(...away);
    const thrown = away.findIndex((distance) => distance > 5);
    const last = path[STEPS];
    const clipped = path.filter((p) => p.k < STEPS && p.size > limit).length;
    const [loss, freeLoss] = [path, free].map((points) => points.map((p) => Math.max(p.loss, 1e-12)));
    const steps = range(STEPS + 1);
    const curve = (points) => ({ x: points.map((p) => p.w), y: points.map((p) => p.b) });
    const outcome = last.loss < 0.01 ? "in the valley" : "not in the valley";
    const sight = (p) => p.w > 3.9 && p.w < 5.2 && p.b > -2.9 && p.b < -1.6;
    const wanted = [...range(13), ...range(15, 1).map((i) => 20 * i)];
    return {
      plots: [
        {
          x: [3.9, 5.2],
          y: [-2.9, -1.6],
          wall: { x: [4.255, 5.2], y: [wall(4.255), wall(5.2)] },
          free: curve(free),
          path: curve(path),
          start: { x: [start[0]], y: [start[1]] },
          end: { x: sight(last) ? [last.w] : [], y: sight(last) ? [last.b] : [] },
        },
        {
          x: [0, STEPS],
          y: [3e-13, 2e5],
          ticks: [1e-12, 1e-8, 1e-4, 1, 1e4],
          free: { x: steps, y: freeLoss },
          loss: { x: steps, y: loss },
        },
      ],
      finding:
        (limit > 1e200 ? "Without a limit" : `With the norm limited to ${set(limit)}`) +
        ` the descent from ${Math.abs(offset)} ${offset < 0 ? "below" : "above"} the wall ` +
        (thrown < 0
          ? `stays within ${plain(far, 2)} of its start`
          : `is thrown in step ${thrown}, out of the picture to w = ${fixed(path[thrown].w, 0)}, b = ${fixed(path[thrown].b, 0)}`) +
        `; steps clipped: ${clipped} of ${STEPS}. It ends at w = ${fixed(last.w, 2)}, b = ${fixed(last.b, 2)} with a loss of ` +
        `${last.loss < 1e-12 ? "less than 10⁻¹²" : scientific(last.loss)}, ${outcome}.`,
      head: ["step", "w", "b", "loss", "norm of the gradient"],
      rows: wanted.map((k) => {
        const p = path[k];
        return [
          cell(k, String(k)),
          cell(p.w, fixed(p.w, 4)),
          cell(p.b, fixed(p.b, 4)),
          cell(p.loss, scientific(p.loss, 3)),
          cell(p.size, scientific(p.size, 3)),
        ];
      }),
    };
  };

  /* beyond/mixed-precision, "Predict": an entry of dC/dz in layer l has the deviation
   *   sigma_l = sqrt(0.9) / (100 sqrt(64)) prod_{i = l}^{L-1} sqrt(E sigma'(sqrt(q_i) u)^2), the factors from a grid;
   *   of layer 1 the share erf(smallest / (2 sqrt 2 S sigma_1)) becomes 0. */
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
  const FORMATS = [
    { name: "float16", smallest: -24, normal: -14, top: 16 },
    { name: "bfloat16", smallest: -133, normal: -126, top: 128 },
  ];
  figures["loss-scale"] = ({ format, scale, depth }, grid) => {
    const { name, smallest, normal, top } = FORMATS[format];
    const factor = (i) => Math.log2(grid.factors[Math.min(i, grid.factors.length) - 1]);
    const last = Math.log2(Math.sqrt(0.9) / (100 * Math.sqrt(64)));
    const deviation = (deep, from = 1) => range(deep - from, from).reduce((sum, i) => sum + factor(i), last);
    const lost = (deep, k) => erf(2 ** (smallest - k - deviation(deep)) / (2 * Math.SQRT2));
    const layers = range(depth, 1);
    const middle = layers.map((l) => scale + deviation(depth, l));
    const depths = range(69, 2);
    const low = Math.min(smallest - 12, middle[0] - 4);
    const share = lost(depth, scale);
    const curve = (points) => ({ x: layers, y: points });
    return {
      plots: [
        {
          x: [0.5, depth + 0.5],
          y: [low, Math.max(top, middle[depth - 1]) + 6],
          lost: { x: [low, top], y: [smallest - 1, Math.max(top, middle[depth - 1]) + 6] },
          subnormal: { x: [smallest - 1], y: [normal] },
          // |u| of a standard normal u: a tenth below 0.1257, a tenth above 1.645
          tenth: curve(middle.map((m) => m + Math.log2(0.12566135))),
          ninetieth: curve(middle.map((m) => m + Math.log2(1.64485363))),
          middle: curve(middle),
        },
        {
          x: [1.5, 70.5],
          y: [-0.03, 1.05],
          share: { x: depths, y: depths.map((deep) => lost(deep, scale)) },
          unscaled: { x: depths, y: depths.map((deep) => lost(deep, 0)) },
          here: { x: [depth], y: [share] },
        },
      ],
      finding:
        `${name}, ${depth} layers, ${scale ? `loss scale 2${raised(scale)}` : "no loss scale"}: layer 1's entries are about ` +
        `2${raised(Math.round(middle[0]))} in size, and ${plain(100 * share, 2)} % of them become 0, as everything does below ` +
        `2${raised(smallest - 1)}. Layer ${depth}'s are about 2${raised(Math.round(middle[depth - 1]))}; the ` +
        `${fixed(middle[depth - 1] - middle[0], 1)} octaves between the two are the same at any scale.`,
      head: ["layer", "log₂ of the deviation", "share of zeros"],
      rows: layers.map((l, i) => {
        const zero = erf(2 ** (smallest - middle[i]) / (2 * Math.SQRT2));
        return [cell(l, String(l)), cell(middle[i], fixed(middle[i], 2)), cell(zero, plain(zero, 3))];
      }),
    };
  };

  window.interactiveFormulas = figures;
})();
