/* why/descent, first figure: C = w^2 from w_0 = 1; one step is w <- (1 - 2 eta) w, so w_k = (1 - 2 eta)^k. */
interactive.figure("parabola", ({ cell, fixed, plain, range, scientific, spaced }) => ({ rate }) => {
  const STEPS = 20;
  const factor = 1 - 2 * rate;
  const steps = range(STEPS + 1);
  const w = steps.map((k) => factor ** k);
  const arm = spaced(-3, 3, 121);
  const seen = steps.filter((k) => Math.abs(w[k]) <= 3);
  const inSight = seen.map((k) => w[k]);
  const last = Math.abs(w[STEPS]);
  const size = last === 0 ? "0" : last < 0.001 || last >= 1e4 ? scientific(last) : plain(last, 3);
  const end =
    Math.abs(Math.abs(factor) - 1) < 1e-9
      ? "the ball jumps between 1 and −1 for ever"
      : Math.abs(factor) < 1
        ? "the ball comes to rest"
        : "the ball leaves for good";
  return {
    plots: [
      {
        x: [-3, 3],
        y: [-0.4, 9],
        curve: { x: arm, y: arm.map((value) => value * value) },
        walk: { x: inSight, y: inSight.map((value) => value * value) },
        start: { x: [1], y: [1] },
      },
      {
        x: [0, STEPS],
        y: [-3, 3],
        bottom: { y: [0] },
        walk: { x: seen, y: inSight },
      },
    ],
    finding:
      `With step size ${fixed(rate, 2)} the ball is ${size} away from the bottom after ${STEPS} steps: ${end}.` +
      (factor < 0 && last !== 0 ? " Every step jumps across the bottom." : ""),
    head: ["step", "w", "loss w²"],
    rows: steps.map((k) => [
      cell(k, String(k)),
      cell(w[k], w[k] === 0 ? "0" : scientific(w[k], 3)),
      cell(w[k] * w[k], w[k] === 0 ? "0" : scientific(w[k] * w[k], 3)),
    ]),
  };
});
