/* reproduce/measuring, "Why the weight gradient is blind", in a wide network without biases and with inputs of mean
 * square 1: delta_l = f^(L - l), |dW_l| = delta_l |a_(l-1)|; ReLU: f = s / sqrt 2 and |a_l| = (s / sqrt 2)^l; sigmoid:
 * f and |a| at the fixed point (grid). */
interactive.figure("measuring", ({ cell, decades, fromLog, log10, logCell, plain, range, set, shown }) => {
  return ({ act, scale, depth }, grid, index) => {
    const relu = act === 0;
    const f = relu ? scale / Math.SQRT2 : grid.factor[index.scale];
    const layers = range(depth, 1);
    const delta = layers.map((l) => (depth - l) * log10(f));
    const below = layers.map((l) => (l === 1 ? 0 : relu ? (l - 1) * log10(f) : log10(grid.size[index.scale])));
    const weight = layers.map((l, i) => delta[i] + below[i]);
    const plot = (name, logs) => ({
      x: [0.5, depth + 0.5],
      ...decades(logs),
      one: { y: [1] },
      [name]: { x: layers, y: logs.map(shown) },
    });
    const verdict = (log) => (log > 2 ? "explodes" : log < -2 ? "vanishes" : "stays within a factor of 100");
    const ends = [delta, weight].map((logs) => logs[0] - logs[depth - 1]);
    return {
      plots: [plot("delta", delta), plot("weight", weight)],
      finding:
        `${relu ? "ReLU" : "Sigmoid"}, weight scale ${set(scale)}, ${depth} layers: delta ${verdict(ends[0])}, ` +
        `first layer over last ${fromLog(ends[0])}, ${plain(f)} per layer. Its weight gradient ${verdict(ends[1])}, first ` +
        `layer over last ${fromLog(ends[1])}.`,
      head: ["layer", "delta", "activation below", "weight gradient"],
      rows: layers.map((l, i) => [cell(l, String(l)), logCell(delta[i]), logCell(below[i]), logCell(weight[i])]),
    };
  };
});
