/* reproduce/exploding, "The weight stands in two places": z_1 = 2w - 4cw, z_l = w sigma(z_(l-1)) - cw,
 *   |dz/dw_1| = 2 sigma'(z_1) prod_(l > 1) w sigma'(z_l); at c = 1/2 it is 2 4^-L w^(L-1). The frame ends at 10^-40:
 *   what lies below it, or farther out than |z| = 40, is marked on the frame. */
interactive.figure("exploding", ({ cell, decades, fixed, fromLog, log10, logCell, logSlope, plain, range, scientific,
  set, shown, sigmoid, slope, spaced }) => {
  const BOTTOM = -40;
  const chain = (w, c, depth) => {
    const z = [2 * w * (1 - 2 * c)];
    for (let l = 1; l < depth; l += 1) z.push(w * (sigmoid(z[l - 1]) - c));
    const log = log10(2) + (depth - 1) * log10(w) + z.reduce((sum, value) => sum + logSlope(value), 0) / Math.LN10;
    return { z, log };
  };
  return ({ w, c, depth }) => {
    const { z, log } = chain(w, c, depth);
    const held = log10(2) - depth * log10(4) + (depth - 1) * log10(w);
    const exponents = spaced(log10(0.5), log10(200), 160);
    const free = exponents.map((e) => chain(10 ** e, c, depth).log);
    const top = exponents.map((e) => log10(2) - depth * log10(4) + (depth - 1) * e);
    const wide = Math.min(40, Math.max(6, ...z.map((value) => Math.abs(value) + 1)));
    const axis = spaced(-wide, wide, 241);
    const seen = z.filter((value) => Math.abs(value) <= wide);
    const outside = z.filter((value) => Math.abs(value) > wide).map((value) => Math.sign(value) * wide);
    const far = Math.max(...z.map(Math.abs));
    return {
      plots: [
        {
          x: [log10(0.5) - 0.05, log10(200) + 0.05],
          ...decades([...free.map((value) => Math.max(value, BOTTOM)), ...top], 6),
          held: { x: exponents, y: top.map(shown) },
          free: { x: exponents, y: free.map(shown) },
          here: log < BOTTOM ? { x: [], y: [] } : { x: [log10(w)], y: [shown(log)] },
          below: log < BOTTOM ? { x: [log10(w)], y: [shown(BOTTOM)] } : { x: [], y: [] },
        },
        {
          x: [-wide, wide],
          y: [0, 0.29],
          slope: { x: axis, y: axis.map(slope) },
          neurons: { x: seen, y: seen.map(slope) },
          outside: { x: outside, y: outside.map(slope) },
        },
      ],
      finding:
        `w = ${set(w)}, c = ${set(c)}, ${depth} layers: the ${depth - 1} weights give ${fromLog((depth - 1) * log10(w))}, the ` +
        `slopes ${fromLog(log - log10(2) - (depth - 1) * log10(w))}, so the gradient is ${fromLog(log)}. ` +
        `The neuron farthest out has |z| = ${plain(far, 2)}; with every z at 0 the gradient would be ${fromLog(held)}.`,
      head: ["layer", "z", "σ′(z)"],
      rows: [
        ...z.map((value, i) => [
          cell(i + 1, String(i + 1)),
          cell(value, fixed(value, 3)),
          logCell(logSlope(value) / Math.LN10),
        ]),
        ["gradient", "", logCell(log)],
      ],
    };
  };
});
