/* today/spikes, "A step after a quiet time": m <- 0.9 m + 0.1 g, v <- beta2 v + (1 - beta2) g^2, step m / sqrt v, with
 *   v = quiet^2 and m = 0 before, g = 1 in the loud batches and m fed by nothing afterwards (the signs are random). */
interactive.figure("quiet", ({ cell, fixed, plain, range }) => ({ beta2, quiet, loud }) => {
  const BATCHES = 40;
  const batches = range(BATCHES, 1);
  let [m, v, sum] = [0, quiet * quiet, 0];
  const steps = [];
  const way = [];
  for (const t of batches) {
    const on = t <= loud;
    m = 0.9 * m + (on ? 0.1 : 0);
    v = beta2 * v + (1 - beta2) * (on ? 1 : quiet * quiet);
    steps.push(m / Math.sqrt(v));
    sum += steps[t - 1];
    way.push(sum);
  }
  const largest = Math.max(...steps);
  const at = steps.indexOf(largest) + 1;
  const few = loud < BATCHES ? `${loud} loud ${loud === 1 ? "batch" : "batches"}` : "A gradient that stays at 1";
  return {
    plots: [
      {
        x: [0, BATCHES],
        y: [0, Math.max(1.2, 1.1 * largest)],
        one: { y: [1] },
        steps: { x: batches, y: steps },
      },
      {
        x: [0, BATCHES],
        y: [0, Math.max(1.05 * BATCHES, 1.1 * sum)],
        one: { x: [0, BATCHES], y: [0, BATCHES] },
        way: { x: [0, ...batches], y: [0, ...way] },
      },
    ],
    finding:
      `${few} after ${quiet ? `gradients of size ${plain(quiet, 1)}` : "silence"}, β₂ = ${beta2}: the longest step is ` +
      `${fixed(largest, 2)} rates, at batch ${at}; the first ${BATCHES} batches move the weight by ${fixed(sum, 1)} rates.`,
    head: ["batch", "gradient", "step, in rates", "way, in rates"],
    rows: batches.map((t, i) => [
      cell(t, String(t)),
      cell(t <= loud ? 1 : quiet, t <= loud ? "1" : quiet ? `±${plain(quiet, 1)}` : "0"),
      cell(steps[i], fixed(steps[i], 3)),
      cell(way[i], fixed(way[i], 2)),
    ]),
  };
});
