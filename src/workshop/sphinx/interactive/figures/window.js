/* why/sigmoid-chain, "The window".
 *   |w sigma'(w a + b)| >= 1 iff |w a + b| <= 2 artanh r, r = sqrt(1 - 4/w): centre -b/w, width 4 artanh(r) / w. */
interactive.figure("window", ({ cell, fixed, plain, scientific, set, slope, spaced }) => {
  const windowWidth = (w) => (w <= 4 ? 0 : (4 * Math.atanh(Math.sqrt(1 - 4 / w))) / w);
  const windowEnds = (w, b) => [-b / w - windowWidth(w) / 2, -b / w + windowWidth(w) / 2];
  const within = (w, b) => {
    const [low, high] = windowEnds(w, b);
    return Math.max(0, Math.min(1, high) - Math.max(0, low));
  };
  return ({ w, b }) => {
    const factor = (a) => w * slope(w * a + b);
    // Every 1/400 of the axis, and the peak itself where it is in sight.
    const inputs = [...spaced(0, 1, 401), -b / w].filter((a) => a >= 0 && a <= 1).sort((p, q) => p - q);
    const [low, high] = windowEnds(w, b);
    const width = windowWidth(w);
    const share = within(w, b);
    const sizes = [...spaced(1, 4, 4), ...spaced(4, 5, 41), ...spaced(5, 40, 141)];
    const top = Math.max(1.2, ...inputs.map(factor));
    const where =
      w < 4
        ? `at most w/4 = ${set(w / 4)}, at any input and for any bias: there is no window`
        : `at least 1 for inputs a from ${fixed(low, 3)} to ${fixed(high, 3)}, a window of width ${fixed(width, 3)} around ` +
          `−b/w = ${fixed(-b / w, 3)}; ${fixed(100 * share, 1)} % of the inputs between 0 and 1 are in it. The peak is ` +
          `w/4 = ${set(w / 4)}`;
    const places = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
    return {
      plots: [
        {
          x: [0, 1],
          y: [0, top * 1.06],
          window: { x: share > 0 ? [Math.max(0, low)] : [], y: share > 0 ? [Math.min(1, high)] : [] },
          one: { y: [1] },
          factor: { x: inputs, y: inputs.map(factor) },
        },
        {
          x: [0, 40.5],
          y: [0, 0.5],
          width: { x: sizes, y: sizes.map(windowWidth) },
          inside: { x: sizes, y: sizes.map((size) => within(size, b)) },
          here: { x: [w], y: [width] },
        },
      ],
      finding: `With w = ${set(w)} and b = ${set(b)} the factor is ${where}.`,
      head: ["what", "value"],
      rows: [
        ["peak w/4", cell(w / 4, plain(w / 4))],
        ["width of the window", cell(width, fixed(width, 4))],
        ["its lower edge", w < 4 ? "none" : cell(low, fixed(low, 4))],
        ["its upper edge", w < 4 ? "none" : cell(high, fixed(high, 4))],
        ["share of the inputs (0, 1)", cell(share, fixed(share, 4))],
        ...places.map((a) => [`factor at a = ${a}`, cell(factor(a), scientific(factor(a), 3))]),
      ],
    };
  };
});
