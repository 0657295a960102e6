/* today/width, "One step, n inputs": a weight moves by its rate in the direction of its input's sign, so a value that
 *   sums n inputs of mean size sqrt(2) / sqrt(2 pi) (ReLU of a normal number of variance 2) moves by rate n 0.564;
 *   muP multiplies the rate by 32 / n. A hidden value is sqrt 2 large. */
interactive.figure("width", ({ cell, decades, plain, range }) => ({ width, rate, rule }) => {
  const widths = range(8).map((k) => 32 * 2 ** k);
  const mean = Math.SQRT2 / Math.sqrt(2 * Math.PI);
  const used = (n) => (rule ? (rate * 32) / n : rate);
  const change = widths.map((n) => used(n) * n * mean);
  const here = used(width) * width * mean;
  const axis = decades([...change.map(Math.log10), 1], 3);
  return {
    plots: [
      {
        x: [4.6, 12.4],
        y: axis.y,
        ticks: axis.ticks,
        size: { y: [Math.SQRT2] },
        change: { x: widths.map((n) => Math.log2(n)), y: change },
        here: { x: [Math.log2(width)], y: [here] },
      },
    ],
    finding:
      `Width ${width}, a rate of ${plain(used(width), 2)} for its weights: the first step on one sample moves a value that ` +
      `sums over the width by ${plain(here, 3)}. A hidden value is 1.41 large at the start: the step is ` +
      `${plain((100 * here) / Math.SQRT2, 2)} % of it.`,
    head: ["width", "rate", "change", "change, yours 1"],
    rows: widths.map((n, i) => [
      cell(n, String(n)),
      cell(used(n), plain(used(n), 3)),
      cell(change[i], plain(change[i], 3)),
      cell(change[i] / here, plain(change[i] / here, 3)),
    ]),
  };
});
