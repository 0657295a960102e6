/* remedies/adaptive-optimizers, "How small a gradient does Adam still hear?": the sigmoid chain with all parameters 0.5
 * and input 2. Its weight gradients g_l by the chain rule; Adam's first step is |g| / (|g| + eps) rates in PyTorch and
 * |g| / (|g| + eps / sqrt(1 - 0.999)) in Keras, where epsilon is added before the correction. */
interactive.figure("adaptive", ({ cell, decades, log10, logCell, logSlope, range, shown, sigmoid, fromLog }) => {
  /** log10 of |d output / d w_l|, layer 1 first. */
  const gradients = (depth) => {
    const inputs = [2];
    const slopes = [];
    for (const l of range(depth)) {
      const z = 0.5 * inputs[l] + 0.5;
      slopes.push(logSlope(z) / Math.LN10);
      inputs.push(sigmoid(z));
    }
    const logs = [];
    let back = 0; // d output / d a_l
    for (let l = depth - 1; l >= 0; l -= 1) {
      logs[l] = back + slopes[l] + log10(inputs[l]);
      back += slopes[l] + log10(0.5);
    }
    return logs;
  };
  /** log10 of g / (g + eps), both given by their logarithms. */
  const share = (g, eps) => -Math.log1p(10 ** (eps - g)) / Math.LN10;
  return ({ eps, depth }) => {
    const layers = range(depth, 1);
    const descent = gradients(depth);
    const place = log10(eps);
    const torch = descent.map((g) => share(g, place));
    const keras = descent.map((g) => share(g, place - log10(Math.sqrt(1 - 0.999))));
    const full = (logs) => logs.filter((log) => log > log10(0.5)).length;
    const curve = (logs) => ({ x: layers, y: logs.map(shown) });
    const wanted = layers.filter((l) => l === 1 || (depth - l) % Math.max(1, Math.round(depth / 8)) === 0);
    return {
      plots: [
        {
          x: [0.5, depth + 0.5],
          ...decades(descent, 1),
          descent: curve(descent),
          keras: curve(keras),
          torch: curve(torch),
          half: { y: [0.5] },
        },
      ],
      finding:
        `With an epsilon of ${fromLog(place, 1)}, ${full(torch)} of ${depth} layers take more than half of Adam's full ` +
        `step with PyTorch, ${full(keras)} with Keras. The first layer takes ${fromLog(torch[0])} of it with PyTorch, ` +
        `${fromLog(keras[0])} with Keras; its gradient is ${fromLog(descent[0])}.`,
      head: ["layer", "gradient", "step / rate, PyTorch", "step / rate, Keras"],
      rows: wanted.map((l) => [
        cell(l, String(l)), logCell(descent[l - 1]), logCell(torch[l - 1]), logCell(keras[l - 1]),
      ]),
    };
  };
});
