/* remedies/residual, "How small must the branch be?": L blocks a + s W relu(a) with He's weights multiply the squared
 * gradient by (1 + s^2)^L. With batch normalisation in the branch block l (from the input, l = 0) multiplies it by
 * 1 + 1/v, where v = 1 + (1 - 1/pi) l is the variance over the batch. */
interactive.figure("residual", ({ cell, decades, fixed, fromLog, log10, logCell, range, set, shown }) => {
  const normalised = (from, to) =>
    range(to - from, from).reduce((sum, l) => sum + log10(1 + 1 / (1 + (1 - 1 / Math.PI) * l)), 0);
  return ({ scale, depth }) => {
    const each = log10(1 + scale * scale);
    const root = log10(1 + 1 / depth);
    const blocks = range(depth + 1);
    const logs = {
      here: blocks.map((l) => each * (depth - l)),
      normalised: blocks.map((l) => normalised(l, depth)),
      root: blocks.map((l) => root * (depth - l)),
    };
    const curve = (values) => ({ x: blocks, y: values.map(shown) });
    const wanted = blocks.filter((l) => l % Math.max(1, Math.round(depth / 8)) === 0);
    return {
      plots: [
        {
          x: [0, depth],
          ...decades([...logs.here, ...logs.normalised], 1),
          here: curve(logs.here),
          normalised: curve(logs.normalised),
          root: curve(logs.root),
          one: { y: [1] },
        },
      ],
      finding:
        `Through ${depth} block${depth > 1 ? "s" : ""} with a branch scale of ${set(scale)} the squared gradient grows by ` +
        `${fromLog(logs.here[0])}. With the scale 1/√${depth} = ${fixed(1 / Math.sqrt(depth), 2)} it grows by ` +
        `${fromLog(logs.root[0])}, with a normalised branch by ${fromLog(logs.normalised[0])}.`,
      head: ["block", "your scale", "normalised", "1/√(blocks)"],
      rows: wanted.map((l) => [
        cell(l, String(l)), logCell(logs.here[l]), logCell(logs.normalised[l]), logCell(logs.root[l]),
      ]),
    };
  };
});
