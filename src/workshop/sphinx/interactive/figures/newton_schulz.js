/* today/orthogonal-steps, "Five multiplications": s <- 3.4445 s - 4.7750 s^3 + 2.0315 s^5, and the classical
 * s <- 1.5 s - 0.5 s^3 beside it. */
interactive.figure("newton-schulz", ({ cell, decades, log10, plain, range, spaced }) => {
  const muon = (s) => 3.4445 * s - 4.775 * s ** 3 + 2.0315 * s ** 5;
  const classical = (s) => 1.5 * s - 0.5 * s ** 3;
  const path = (map, start, last) => {
    const values = [start];
    for (let k = 0; k < last; k += 1) values.push(map(values[k]));
    return values;
  };
  const LAST = 12;
  return ({ start, iterations }) => {
    const logs = spaced(-6, 0, 181);
    const end = (map) => logs.map((log) => path(map, 10 ** log, iterations)[iterations]);
    const [mine, slow] = [muon, classical].map((map) => path(map, start, LAST));
    const [after, slowAfter] = [mine[iterations], slow[iterations]];
    const times = range(LAST + 1);
    return {
      plots: [
        {
          x: [-6, 0],
          ...decades([-6, 0], 6),
          same: { x: logs, y: logs.map((log) => 10 ** log) },
          after: { x: logs, y: end(muon) },
          classical: { x: logs, y: end(classical) },
          here: { x: [log10(start)], y: [after] },
        },
        {
          x: [0, LAST],
          ...decades([log10(start), 0], 1),
          one: { y: [1] },
          muon: { x: times, y: mine },
          classical: { x: times, y: slow },
          here: { x: [iterations] },
        },
      ],
      finding:
        `After ${iterations} iteration${iterations === 1 ? "" : "s"} a singular value of ${plain(start, 1)} stands at ` +
        `${plain(after, 2)}: it was multiplied by ${plain(after / start, 3)}. The classical iteration takes it to ` +
        `${plain(slowAfter, 2)}.`,
      head: ["iteration", "Muon's", "times the start", "classical", "Muon's, yours 1"],
      rows: times.map((k) => [
        cell(k, String(k)),
        cell(mine[k], plain(mine[k], 3)),
        cell(mine[k] / start, plain(mine[k] / start, 3)),
        cell(slow[k], plain(slow[k], 3)),
        cell(mine[k] / after, plain(mine[k] / after, 3)),
      ]),
    };
  };
});
