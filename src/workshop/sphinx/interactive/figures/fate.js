/* index: the gradient at layer l of L is factor^(L - l) times that at the output. */
interactive.figure("fate", ({ cell, decades, fixed, fromLog, log10, logCell, range, shown }) => ({ factor, depth }) => {
  const layers = range(depth, 1);
  const logs = layers.map((l) => (depth - l) * log10(factor));
  const word = logs[0] < -2 ? "it vanishes" : logs[0] > 2 ? "it explodes" : "it arrives";
  return {
    plots: [
      {
        x: [0.5, depth + 0.5],
        ...decades(logs, 3),
        one: { y: [1] },
        gradient: { x: layers, y: logs.map(shown) },
      },
    ],
    finding:
      `With ${fixed(factor, 2)} per layer and ${depth} layers the first layer gets ${fromLog(logs[0])} ` +
      `of the gradient at the output: ${word}.`,
    head: ["layer", "gradient"],
    rows: layers.map((l, i) => [cell(l, String(l)), logCell(logs[i])]),
  };
});
