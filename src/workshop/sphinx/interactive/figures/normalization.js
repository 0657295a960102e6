/* remedies/batch-normalization, "Fifty ReLU layers" and "How large a batch"; remedies/layer-normalization. Per layer:
 *   over the batch, m samples: sqrt(E phi'^2 / Var phi) sqrt((m - 2) / (m - 3));
 *   over the units:            sqrt(E phi'^2 / E phi^2), whatever the batch. */
interactive.figure("normalization", ({ cell, decades, fixed, fromLog, log10, logCell, range, shown }) => {
  const LAYERS = 50;
  return ({ axis, act, batch }, grid) => {
    const factors = [grid.batch[act] * Math.sqrt((batch - 2) / (batch - 3)), grid.layer[act]];
    const layers = range(LAYERS, 1);
    const logs = factors.map((factor) => layers.map((l) => (LAYERS - l) * log10(factor)));
    const names = ["over the batch", "over the units of a layer"];
    return {
      plots: [
        {
          x: [1, LAYERS],
          ...decades([...logs[0], ...logs[1]], 1),
          one: { y: [1] },
          here: { x: layers, y: logs[axis].map(shown) },
          other: { x: layers, y: logs[1 - axis].map(shown) },
        },
      ],
      finding:
        `Normalised ${names[axis]}, ${["ReLU", "tanh", "sigmoid"][act]}, batch size ${batch}: the gradient is multiplied ` +
        `by ${fixed(factors[axis], 3)} per layer, through ${LAYERS - 1} steps by ${fromLog(logs[axis][0])}. ` +
        `Normalised ${names[1 - axis]} it would be ${fixed(factors[1 - axis], 3)} per layer.`,
      head: ["layer", names[0], names[1], "as chosen"],
      rows: [1, 10, 20, 30, 40, 50].map((l) => [
        cell(l, String(l)),
        ...[logs[0], logs[1], logs[axis]].map((column) => logCell(column[l - 1])),
      ]),
    };
  };
});
