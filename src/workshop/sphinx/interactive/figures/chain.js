/* why/sigmoid-chain, "One line" and "A quarter".
 *   z_1 = w x + b, z_l = w sigma(z_{l-1}) + b, x = 1/2;
 *   dy/db_l = sigma'(z_l) prod_{i > l} w sigma'(z_i) <= 1/4 (w/4)^(L - l). */
interactive.figure("chain", (shared) => {
  const { cell, decades, fixed, fromLog, log10, logCell, logSlope, plain, range, scientific, set, shown,
    sigmoid, slope, spaced } = shared;

  return ({ w, b, depth }) => {
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
});
