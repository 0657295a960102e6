/* beyond/mixed-precision, "Predict": an entry of dC/dz in layer l has the deviation
 *   sigma_l = sqrt(0.9) / (100 sqrt(64)) prod_{i = l}^{L-1} sqrt(E sigma'(sqrt(q_i) u)^2), the factors from a grid;
 *   of layer 1 the share erf(smallest / (2 sqrt 2 S sigma_1)) becomes 0. */
interactive.figure("loss-scale", ({ cell, erf, fixed, plain, raised, range }) => {
  const FORMATS = [
    { name: "float16", smallest: -24, normal: -14, top: 16 },
    { name: "bfloat16", smallest: -133, normal: -126, top: 128 },
  ];
  return ({ format, scale, depth }, grid) => {
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
        `${fixed(middle[depth - 1] - middle[0], 1)} powers of two between the two are the same at any scale.`,
      head: ["layer", "log₂ of the deviation", "share of zeros"],
      rows: layers.map((l, i) => {
        const zero = erf(2 ** (smallest - middle[i]) / (2 * Math.SQRT2));
        return [cell(l, String(l)), cell(middle[i], fixed(middle[i], 2)), cell(zero, plain(zero, 3))];
      }),
    };
  };
});
