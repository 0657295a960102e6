/* today/attention-logits, "Half the square of the spread": the law ln T - sigma^2 / 2, the rest from a grid. */
interactive.figure("entropy", ({ cell, fixed, plain, range }) => {
  const LENGTHS = [16, 64, 256, 1024, 4096];
  return ({ length, sigma }, grid) => {
    const i = LENGTHS.indexOf(length);
    const at = Math.round(sigma / 0.25);
    const sigmas = range(grid.entropy[i].length).map((k) => 0.25 * k);
    const law = (s) => Math.max(0, Math.log(length) - (s * s) / 2);
    const here = grid.entropy[i][at];
    const weights = grid.weights[i][at];
    const freezing = Math.sqrt(2 * Math.log(length));
    const fine = range(161).map((k) => 0.05 * k);
    return {
      plots: [
        {
          x: [0, 8],
          y: [-0.2, Math.log(length) + 0.4],
          law: { x: fine, y: fine.map(law) },
          entropy: { x: sigmas, y: grid.entropy[i] },
          here: { x: [sigma], y: [here] },
        },
        { x: [0, 11], y: [0, 1.02], weights: { x: range(10, 1), y: weights } },
      ],
      finding:
        `${length} tokens, scores of spread ${fixed(sigma, 2)}: the entropy is ${fixed(here, 2)} nats, the law says ` +
        `${fixed(law(sigma), 2)}. That is as if the query looked at ${plain(Math.exp(here), 2)} tokens alike. The largest ` +
        `weight is ${plain(100 * weights[0], 2)} %. The law ends at σ = ${fixed(freezing, 2)}.`,
      head: ["spread σ", "entropy", "law", "largest weight", "entropy, less yours"],
      rows: sigmas.map((s, k) => [
        cell(s, fixed(s, 2)),
        cell(grid.entropy[i][k], fixed(grid.entropy[i][k], 3)),
        cell(law(s), fixed(law(s), 3)),
        cell(grid.weights[i][k][0], plain(grid.weights[i][k][0], 3)),
        cell(grid.entropy[i][k] - here, fixed(grid.entropy[i][k] - here, 3)),
      ]),
    };
  };
});
