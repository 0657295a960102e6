/* why/recurrence, "Why the spectral radius, and why not".
 *   W^k = [[rho^k, k c rho^(k-1)], [0, rho^k]]; the largest singular value of [[d, e], [0, d]] is
 *   (|e| + sqrt(e^2 + 4 d^2)) / 2. Divided by rho^k, nothing underflows. */
interactive.figure("transient", ({ cell, decades, fixed, fromLog, log10, logCell, range, set, shown }) => {
  return ({ rho, c, lag }) => {
    const powers = range(lag + 1);
    const corner = (k) => (k * c) / rho;
    const norm = powers.map((k) => k * log10(rho) + log10((corner(k) + Math.sqrt(corner(k) ** 2 + 4)) / 2));
    const top = norm.indexOf(Math.max(...norm));
    const below = norm.findIndex((value, k) => k > top && value < 0);
    const plot = {
      x: [0, lag],
      ...decades([...norm, lag * log10(rho)]),
      one: { y: [1] },
      radius: { x: powers, y: powers.map((k) => shown(k * log10(rho))) },
      norm: { x: powers, y: norm.map(shown) },
      peak: { x: [top], y: [shown(norm[top])] },
    };
    const story =
      top === 0
        ? "the norm falls from the first step on"
        : top === lag
          ? `the norm still grows at k = ${lag}, where it is ${fromLog(norm[top])}`
          : `the norm grows to ${fromLog(norm[top])} at k = ${top} ` +
            (below < 0 ? `and is ${fromLog(norm[lag])} at k = ${lag}` : `and falls below 1 at k = ${below}`);
    const samples = [...new Set([...range(11).map((i) => Math.round((i * lag) / 10)), top])].sort((p, q) => p - q);
    return {
      plots: [plot],
      finding:
        `With ρ = ${set(rho)} and c = ${set(c)} ${story}; ρᵏ alone would be ${fromLog(lag * log10(rho))} ` +
        `at k = ${lag}. On average a step multiplies the norm by ${fixed(10 ** (norm[lag] / lag), 3)}.`,
      head: ["k", "norm of Wᵏ", "ρᵏ"],
      rows: samples.map((k) => [cell(k, String(k)), logCell(norm[k]), logCell(k * log10(rho))]),
    };
  };
});
