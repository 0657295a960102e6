/* today/edge-of-stability, "Two forces": descent on (u v - 1)^2 / 2; at a minimum the sharpness is u^2 + v^2. */
interactive.figure("edge", ({ cell, fixed, plain, range, set }) => {
  const SHOWN = 60;
  const STEPS = 600;
  return ({ rate, start }) => {
    const path = [[start, 1.02 / start]];
    for (let k = 0; k < STEPS; k += 1) {
      const [u, v] = path[k];
      const error = u * v - 1;
      path.push([u - rate * error * v, v - rate * error * u]);
      if (!(Math.abs(path[k + 1][0]) + Math.abs(path[k + 1][1]) < 1e6)) break;
    }
    const left = path.length <= STEPS;
    const errors = path.map(([u, v]) => u * v - 1);
    const products = path.map(([u, v]) => rate * (u * u + v * v));
    const last = path.length - 1;
    // What leaves the frame is left out: on its way to infinity a descent passes numbers that no axis shows.
    const inside = (values, bound) => {
      const x = range(Math.min(SHOWN, last) + 1).filter((k) => Math.abs(values[k]) <= bound);
      return { x, y: x.map((k) => values[k]) };
    };
    const [error, product] = [inside(errors, 3), inside(products, 8)];
    const size = Math.max(0.05, ...error.y.map(Math.abs));
    const top = Math.max(2.5, ...product.y);
    const wanted = [0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 60].filter((k) => k <= last);
    return {
      plots: [
        {
          x: [0, SHOWN],
          y: [-1.1 * size, 1.1 * size],
          error,
          zero: { y: [0] },
        },
        {
          x: [0, SHOWN],
          y: [0, 1.05 * top],
          product,
          two: { y: [2] },
        },
      ],
      finding:
        `From u = ${set(start)} with step size ${fixed(rate, 2)} the product of step size and sharpness is ` +
        `${fixed(products[0], 2)} at first. ` +
        (left
          ? `The descent leaves for infinity, in step ${last}.`
          : `After ${STEPS} steps it is ${fixed(products[last], 2)}, and the largest error on the way was ` +
            `${plain(Math.max(...errors.map(Math.abs)), 2)}.`),
      head: ["step", "u", "v", "error", "step size × sharpness"],
      rows: wanted.map((k) => [
        cell(k, String(k)),
        cell(path[k][0], plain(path[k][0], 3)),
        cell(path[k][1], plain(path[k][1], 3)),
        cell(errors[k], plain(errors[k], 2)),
        cell(products[k], plain(products[k], 3)),
      ]),
    };
  };
});
