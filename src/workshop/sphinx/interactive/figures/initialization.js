/* remedies/initialization, "Why: two conditions on one number" and "Predict: a hundred layers".
 *   forward  q_1 = sigma_w^2, q_l = sigma_w^2 E phi(sqrt(q_{l-1}) u)^2, rms of z = sqrt(q_l);
 *   backward |delta_l| / |delta_{l+1}| = sqrt(sigma_w^2 E phi'(sqrt(q_l) u)^2).
 * ReLU: both sigma_w / sqrt 2 per layer. The others: a grid. */
interactive.figure("initialization", ({ cell, decades, fromLog, log10, logCell, plain, range, shown }) => {
  return ({ gain, depth }, grid) => {
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
});
