/* remedies/lstm, "Predict": the carousel sigma(b)^lag. All paths: medians of ten networks each, from a grid. */
interactive.figure("lstm", ({ cell, decades, fixed, fromLog, log10, logCell, range, set, shown, sigmoid }) => {
  return ({ bias, lag }, grid, index) => {
    const carousel = (b, t) => -t * log10(1 + Math.exp(-b));
    const lags = range(101);
    const lstm = grid.lstm[index.bias];
    const gru = grid.gru[index.bias];
    const over = (kind) => grid.biases.map((_, i) => grid[kind][i][lag]);
    const alone = grid.biases.map((b) => carousel(b, lag));
    const against = lags.map((t) => carousel(bias, t));
    const excess = lstm[lag] - carousel(bias, lag);
    const samples = [...new Set([...range(11).map((i) => 10 * i), lag])].sort((p, q) => p - q);
    return {
      plots: [
        {
          x: [0, 100],
          ...decades([...against, ...lstm, ...gru]),
          one: { y: [1] },
          carousel: { x: lags, y: against.map(shown) },
          lstm: { x: lags, y: lstm.map(shown) },
          gru: { x: lags, y: gru.map(shown) },
        },
        {
          x: [-1.15, 6.15],
          ...decades([...alone, ...over("lstm"), ...over("gru")]),
          one: { y: [1] },
          carousel: { x: grid.biases, y: alone.map(shown) },
          lstm: { x: grid.biases, y: over("lstm").map(shown) },
          gru: { x: grid.biases, y: over("gru").map(shown) },
          here: { x: [bias] },
          points: { x: [bias], y: [shown(lstm[lag])] },
        },
      ],
      finding:
        `With forget bias ${set(bias)} the gate is ${fixed(sigmoid(bias), 3)}. After ${lag} ${lag === 1 ? "step" : "steps"} the memory line alone ` +
        `leaves ${fromLog(carousel(bias, lag))} of the gradient; an LSTM with all its paths has ${fromLog(lstm[lag])}, ` +
        `${fixed(Math.abs(excess), 1)} powers of ten ${excess < 0 ? "less" : "more"}; a GRU with this bias ${fromLog(gru[lag])}.`,
      head: ["time lag", "memory line", "LSTM", "GRU"],
      rows: samples.map((t) => [
        cell(t, String(t)),
        logCell(carousel(bias, t)),
        logCell(lstm[t], 2),
        logCell(gru[t], 2),
      ]),
    };
  };
});
