/* today/gradient-norm, "Two parts": |g_B|^2 = |G|^2 + S / B, with the noise scale S / |G|^2 on a knob. */
interactive.figure("gradient-norm", ({ cell, decades, fixed, log10, plain, range, set, spaced }) => {
  return ({ batch, scale, length }) => {
    const norm = (B) => length * Math.sqrt(1 + scale / B);
    const share = (B) => 1 / (1 + scale / B);
    const logs = spaced(0, 10, 121);
    const here = norm(batch);
    const factor = Math.min(1, 1 / here);
    return {
      plots: [
        {
          x: [0, 10],
          ...decades([log10(norm(1)), log10(length), 0], 1),
          norm: { x: logs, y: logs.map((k) => norm(2 ** k)) },
          mean: { y: [length] },
          limit: { y: [1] },
          here: { x: [Math.log2(batch)], y: [here] },
        },
        {
          x: [0, 10],
          y: [0, 1.05],
          share: { x: logs, y: logs.map((k) => share(2 ** k)) },
          half: { y: [0.5] },
          here: { x: [Math.log2(batch)], y: [share(batch)] },
        },
      ],
      finding:
        `Batches of ${set(batch)} show a norm of ${plain(here, 3)}; the mean gradient has ${plain(length, 2)}, that is ` +
        `${plain(100 * share(batch), 2)} % of the squared norm. A limit of 1 ` +
        (factor < 1 ? `multiplies a step of this norm by ${plain(factor, 2)}.` : "does nothing to a step of this norm."),
      head: ["batch", "norm", "share of the mean gradient", "factor of limit 1", "norm, yours 1"],
      rows: range(11).map((k) => {
        const B = 2 ** k;
        return [
          cell(B, String(B)),
          cell(norm(B), plain(norm(B), 3)),
          cell(share(B), fixed(share(B), 3)),
          cell(Math.min(1, 1 / norm(B)), plain(Math.min(1, 1 / norm(B)), 2)),
          cell(norm(B) / here, plain(norm(B) / here, 3)),
        ];
      }),
    };
  };
});
