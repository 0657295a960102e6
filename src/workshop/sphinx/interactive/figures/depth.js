/* why/descent, "Now let depth in": C(w) = (w^L - 1)^2 / 2, C'(w) = L w^(L-1) (w^L - 1). */
interactive.figure("depth", ({ cell, fixed, log10, range, scientific, set, shown, decades, spaced }) => {
  const STEPS = 100;
  const slope = (w, depth) => depth * w ** (depth - 1) * (w ** depth - 1);
  return ({ depth, start, rate }) => {
    const walk = [start];
    for (let k = 0; k < STEPS; k += 1) walk.push(walk[k] - rate * slope(walk[k], depth));
    const thrown = walk.findIndex((w) => !(Math.abs(w) <= 3));
    const last = walk[STEPS];
    const weights = spaced(0.4, 1.5, 221);
    const logs = weights.map((w) => log10(Math.abs(slope(w, depth)) || 1e-12));
    const gradient = slope(start, depth);
    const outcome =
      thrown > 0
        ? `In step ${thrown} it is thrown out of the picture.`
        : Math.abs(last - 1) < 0.01
          ? `After ${STEPS} steps it is at the minimum.`
          : `After ${STEPS} steps it is at ${fixed(last, 3)}; ` +
            (last === start ? "it has not moved." : `it has moved by ${scientific(last - start)}.`);
    const wanted = [...range(11), ...range(9, 2).map((i) => 10 * i)];
    const number = (value) => {
      if (!Number.isFinite(value)) return "not a number";
      return value === 0 ? cell(0, "0") : cell(value, scientific(value, 3));
    };
    const inSight = range(thrown > 0 ? thrown : STEPS + 1);
    return {
      plots: [
        {
          x: [0.4, 1.5],
          ...decades([...logs, -6], 6),
          gradient: { x: weights, y: logs.map(shown) },
          start: gradient === 0 ? { x: [], y: [] } : { x: [start], y: [Math.abs(gradient)] },
        },
        {
          x: [0, STEPS],
          y: [-0.5, 3],
          minimum: { y: [1] },
          walk: { x: inSight, y: inSight.map((k) => walk[k]) },
        },
      ],
      finding:
        `With ${depth} layer${depth > 1 ? "s" : ""} and step size ${set(rate)} the gradient at w = ${set(start)} is ` +
        `${gradient === 0 ? "0" : scientific(gradient)}. ${outcome}`,
      head: ["step", "w", "gradient"],
      rows: wanted.map((k) => [cell(k, String(k)), number(walk[k]), number(slope(walk[k], depth))]),
    };
  };
});
