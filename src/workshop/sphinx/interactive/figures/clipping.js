/* remedies/clipping, "The cliff": h_t = w sigma(h_{t-1}) + b, h_0 = 1/2, fifty steps, loss (h_50 - 0.7)^2, and the
 * derivatives of h by w and b carried along. Descent with a rate that falls from 0.01 to 0 over 300 steps and
 * g min(1, limit / |g|). On the wall the last digit of exp decides where a zigzag goes. */
interactive.figure("clipping", ({ cell, fixed, plain, range, scientific, set, sigmoid }) => {
  const oneUnit = (w, b) => {
    let [h, dw, db] = [0.5, 0, 0];
    for (let t = 0; t < 50; t += 1) {
      const s = sigmoid(h);
      [h, dw, db] = [w * s + b, s + w * s * (1 - s) * dw, 1 + w * s * (1 - s) * db];
    }
    return { loss: (h - 0.7) ** 2, g: [2 * (h - 0.7) * dw, 2 * (h - 0.7) * db] };
  };
  const STEPS = 300;
  const descend = ([w, b], limit) => {
    const path = [];
    for (let k = 0; k <= STEPS; k += 1) {
      const { loss, g } = oneUnit(w, b);
      const size = Math.hypot(...g);
      path.push({ k, w, b, loss, size });
      const step = 0.01 * (1 - k / STEPS) * Math.min(1, limit / Math.max(size, 1e-30));
      [w, b] = [w - step * g[0], b - step * g[1]];
    }
    return path;
  };
  return ({ limit, offset }) => {
    const wall = (w) => 0.5 - w * sigmoid(0.5);
    const start = [4.8, wall(4.8) + offset];
    const path = descend(start, limit);
    const free = descend(start, Infinity);
    const away = path.map((p) => Math.hypot(p.w - start[0], p.b - start[1]));
    const far = Math.max(...away);
    const thrown = away.findIndex((distance) => distance > 5);
    const last = path[STEPS];
    const clipped = path.filter((p) => p.k < STEPS && p.size > limit).length;
    const [loss, freeLoss] = [path, free].map((points) => points.map((p) => Math.max(p.loss, 1e-12)));
    const steps = range(STEPS + 1);
    const curve = (points) => ({ x: points.map((p) => p.w), y: points.map((p) => p.b) });
    const outcome = last.loss < 0.01 ? "in the valley" : "not in the valley";
    const sight = (p) => p.w > 3.9 && p.w < 5.2 && p.b > -2.9 && p.b < -1.6;
    const wanted = [...range(13), ...range(15, 1).map((i) => 20 * i)];
    return {
      plots: [
        {
          x: [3.9, 5.2],
          y: [-2.9, -1.6],
          wall: { x: [4.255, 5.2], y: [wall(4.255), wall(5.2)] },
          free: curve(free),
          path: curve(path),
          start: { x: [start[0]], y: [start[1]] },
          end: { x: sight(last) ? [last.w] : [], y: sight(last) ? [last.b] : [] },
        },
        {
          x: [0, STEPS],
          y: [3e-13, 2e5],
          ticks: [1e-12, 1e-8, 1e-4, 1, 1e4],
          free: { x: steps, y: freeLoss },
          loss: { x: steps, y: loss },
        },
      ],
      finding:
        (limit > 1e200 ? "Without a limit" : `With the norm limited to ${set(limit)}`) +
        ` the descent from ${Math.abs(offset)} ${offset < 0 ? "below" : "above"} the wall ` +
        (thrown < 0
          ? `stays within ${plain(far, 2)} of its start`
          : `is thrown in step ${thrown}, out of the picture to w = ${fixed(path[thrown].w, 0)}, b = ${fixed(path[thrown].b, 0)}`) +
        `; steps clipped: ${clipped} of ${STEPS}. It ends at w = ${fixed(last.w, 2)}, b = ${fixed(last.b, 2)} with a loss of ` +
        `${last.loss < 1e-12 ? "less than 10⁻¹²" : scientific(last.loss)}, ${outcome}.`,
      head: ["step", "w", "b", "loss", "norm of the gradient"],
      rows: wanted.map((k) => {
        const p = path[k];
        return [
          cell(k, String(k)),
          cell(p.w, fixed(p.w, 4)),
          cell(p.b, fixed(p.b, 4)),
          cell(p.loss, scientific(p.loss, 3)),
          cell(p.size, scientific(p.size, 3)),
        ];
      }),
    };
  };
});
