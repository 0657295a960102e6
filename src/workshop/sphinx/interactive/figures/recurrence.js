/* why/recurrence, "How far back".
 *   linear: rho^lag; tanh: f^lag, f = rho sqrt(E tanh'(sqrt(q) u)^2) at the fixed point q of the variance (grid). */
interactive.figure("recurrence", ({ cell, decades, fixed, fromLog, log10, logCell, range, set, shown }) => {
  return ({ rho, v, lag }, grid, index) => {
    const f = grid.tanh[index.v][index.rho];
    const lags = range(lag + 1);
    const linear = lags.map((t) => t * log10(rho));
    const tanh = lags.map((t) => t * log10(f));
    const trend = (x) => (Math.abs(Math.log(x)) * lag < Math.log(10) ? "stays within a factor of 10" : x < 1 ? "vanishes" : "explodes");
    const samples = range(11).map((i) => Math.round((i * lag) / 10));
    return {
      plots: [
        {
          x: [0, lag],
          ...decades([...linear, ...tanh]),
          one: { y: [1] },
          linear: { x: lags, y: linear.map(shown) },
          tanh: { x: lags, y: tanh.map(shown) },
        },
        {
          x: [0.45, 2.05],
          y: [0.2, 2.1],
          one: { y: [1] },
          linear: { x: [0.5, 2], y: [0.5, 2] },
          tanh: { x: grid.rho, y: grid.tanh[index.v] },
          here: { x: [rho] },
          points: { x: [rho, rho], y: [rho, f] },
        },
      ],
      finding:
        `At ρ = ${set(rho)} over ${lag} steps the linear network's gradient ${trend(rho)} ` +
        `(${fromLog(lag * log10(rho))}); with tanh and input of variance ${v} it ${trend(f)} ` +
        `(${fromLog(lag * log10(f))}), at ${fixed(f, 3)} per step.`,
      head: ["time lag", "linear", "tanh"],
      rows: samples.map((t) => [cell(t, String(t)), logCell(t * log10(rho)), logCell(t * log10(f))]),
    };
  };
});
