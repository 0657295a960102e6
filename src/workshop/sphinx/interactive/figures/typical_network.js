/* why/typical-network, "Logarithms add": ln |Jv|^2 is nearly normal with L times the mean and variance of one layer
 * (grid). Shares from the normal law: P(X < x) = (1 + erf((x - m) / (s sqrt 2))) / 2. */
interactive.figure("typical-network", ({ cell, decades, erf, fixed, fromLog, logCell, plain, range, shown, spaced }) => {
  const below = (z) => (z >= 0 ? 0.5 + erf(z / Math.SQRT2) / 2 : 0.5 - erf(-z / Math.SQRT2) / 2);
  return ({ depth, width }, grid, index) => {
    const mean = grid.mean[index.width] / Math.LN10;
    const spread = Math.sqrt(grid.variance[index.width]) / Math.LN10;
    const middle = depth * mean;
    const sd = Math.sqrt(depth) * spread;
    const axis = spaced(middle - 4 * sd, middle + 4 * sd, 201);
    const layers = range(41).map((i) => (i * depth) / 40);
    const lower = (l) => l * mean - Math.sqrt(l) * spread;
    const share = (log) => below((log - middle) / sd);
    const percent = (value) => `${plain(100 * value, 2)} %`;
    return {
      plots: [
        {
          x: [Math.min(axis[0], -1), Math.max(axis[200], 1)],
          y: [0, 0.44 / sd],
          bell: { x: axis, y: axis.map((x) => Math.exp(-(((x - middle) / sd) ** 2) / 2) / (sd * Math.sqrt(2 * Math.PI))) },
          median: { x: [middle] },
          mean: { x: [0] },
        },
        {
          x: [0, depth],
          ...decades([...layers.map(lower), 0], 1),
          one: { y: [1] },
          middle: { x: layers, y: layers.map((l) => shown(l * mean)) },
          low: { x: layers, y: layers.map((l) => shown(lower(l))) },
          here: { x: [depth], y: [shown(middle)] },
        },
      ],
      finding:
        `${depth} layers of ${width} units, L/n = ${plain(depth / width, 2)}: the median of the squared norm is ` +
        `${fromLog(middle)}; ${percent(share(0))} of the networks lie below the mean, 1, and ` +
        `${percent(share(-2))} below 1/100.`,
      head: ["what", "value"],
      rows: [
        ["median of the squared norm", logCell(middle)],
        ["leading order e^(−5L/2n)", logCell((-2.5 * depth) / width / Math.LN10)],
        ["one network in six is below", logCell(middle - sd)],
        ["one network in six is above", logCell(middle + sd)],
        ["share below 1", cell(share(0), fixed(share(0), 3))],
        ["share below 1/100", cell(share(-2), fixed(share(-2), 4))],
        ["variance of the natural logarithm", cell((sd * Math.LN10) ** 2, plain((sd * Math.LN10) ** 2))],
      ],
    };
  };
});
