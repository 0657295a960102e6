/* why/jacobians, the opening: J = J_L ... J_1, each layer 2 x 2; with A = a^2 + b^2 + c^2 + d^2 and the determinant
 * D the singular values are (sqrt(A + 2 |D|) +- sqrt(A - 2 |D|)) / 2; the gain multiplies both by gain^L. */
interactive.figure("jacobians", ({ cell, decades, fromLog, log10, logCell, range, set, shown }) => {
  const turns = range(145).map((i) => (2 * Math.PI * i) / 144);
  const axes = ([[a, b], [c, d]]) => {
    const square = a * a + b * b + c * c + d * d;
    const determinant = Math.abs(a * d - b * c);
    const long = (Math.sqrt(square + 2 * determinant) + Math.sqrt(Math.max(0, square - 2 * determinant))) / 2;
    return [long, determinant / long];
  };
  return ({ kind, depth, gain }, grid) => {
    const products = grid[kind ? "gaussian" : "orthogonal"];
    const layers = range(depth + 1);
    const logs = layers.map((l) => axes(products[l]).map((axis) => log10(axis) + l * log10(gain)));
    const [[a, b], [c, d]] = products[depth];
    const image = (size) => ({
      x: turns.map((t) => size * (a * Math.cos(t) + b * Math.sin(t))),
      y: turns.map((t) => size * (c * Math.cos(t) + d * Math.sin(t))),
    });
    const [long, short] = logs[depth];
    const circle = { x: turns.map(Math.cos), y: turns.map(Math.sin) };
    // An image that has shrunk, or outgrown the circle, keeps its shape to see: once more, to the size of the circle.
    const half = 1.25 * Math.max(1, 10 ** long);
    const scaled = image(1 / axes(products[depth])[0]);
    const ratio = short - long;
    return {
      plots: [
        { x: [-half, half], y: [-half, half], circle, ellipse: image(gain ** depth), scaled },
        {
          x: [-0.5, depth + 0.5],
          ...decades(logs.flat()),
          one: { y: [1] },
          long: { x: layers, y: logs.map(([value]) => shown(value)) },
          short: { x: layers, y: logs.map(([, value]) => shown(value)) },
        },
      ],
      finding:
        `After ${depth} ${kind ? "Gaussian" : "orthogonal"} layer${depth === 1 ? "" : "s"} with gain ${set(gain)} the longest axis has the length ` +
        `${fromLog(long)}, the shortest ${fromLog(short)}. ` +
        (ratio > -1e-6
          ? "It is still a circle: a vector of any direction is multiplied by the same number."
          : `The shortest is ${fromLog(ratio)} of the longest.`),
      head: ["layer", "longest axis", "shortest axis"],
      rows: layers.map((l) => [cell(l, String(l)), ...logs[l].map((value) => logCell(value))]),
    };
  };
});
