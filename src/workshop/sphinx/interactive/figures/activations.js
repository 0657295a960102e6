/* remedies/activations, "What an activation does to a gradient": phi(z) = z for z > 0, slope * z for z < 0. Half of the
 * z lie on either side, so E phi'^2 = (1 + slope^2) / 2, whatever their size, and a layer of gain sigma_w multiplies the
 * gradient by sigma_w sqrt((1 + slope^2) / 2). */
interactive.figure("activations", ({ cell, decades, fixed, fromLog, log10, logCell, plain, range, set, shown }) => {
  const LAYERS = 50;
  return ({ slope, gain }) => {
    const factor = gain * Math.sqrt((1 + slope * slope) / 2);
    const layers = range(LAYERS, 1);
    const logs = layers.map((l) => (LAYERS - l) * log10(factor));
    const right = Math.sqrt(2 / (1 + slope * slope));
    const wanted = [1, 10, 20, 30, 40, 50];
    return {
      plots: [
        {
          x: [-3, 3],
          y: [-2, 3.2],
          zero: { y: [0] },
          phi: { x: [-3, 0, 3], y: [-3 * slope, 0, 3] },
          slope: { x: [-3, 0, 0, 3], y: [slope, slope, 1, 1] },
        },
        {
          x: [1, LAYERS],
          ...decades(logs, 1),
          one: { y: [1] },
          gradient: { x: layers, y: logs.map(shown) },
        },
      ],
      finding:
        `With slope ${set(slope)} on the left and a gain of ${set(gain)} a layer multiplies the gradient by ` +
        `${fixed(factor, 3)}; through ${LAYERS - 1} steps that is ${fromLog(logs[0])}.`,
      head: ["what", "value"],
      rows: [
        ["factor per layer", cell(factor, plain(factor, 4))],
        ["gain that is level", cell(right, plain(right, 4))],
        ...wanted.map((l) => [`gradient in layer ${l}`, logCell(logs[l - 1])]),
      ],
    };
  };
});
