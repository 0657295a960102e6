/* why/backpropagation, "One unit": delta = sigma'(z) (v_1 delta_1 + v_2 delta_2), where
 * delta_k = (a_k - y_k) a_k (1 - a_k) and a_k = sigma(rest_k + v_k sigma(z)). */
interactive.figure("backpropagation", ({ cell, fixed, set, sigmoid, slope, spaced }) => {
  const axis = spaced(-6, 6, 241);
  return ({ z, v1, v2 }, grid) => {
    const weights = [v1, v2];
    const outputs = weights.map((v, k) => sigmoid(grid.rest[k] + v * sigmoid(z)));
    const errors = outputs.map((a, k) => (a - grid.target[k]) * a * (1 - a));
    const parts = weights.map((v, k) => v * errors[k]);
    const sum = parts[0] + parts[1];
    const delta = sum * slope(z);
    const stages = [...parts, sum, delta];
    const reach = Math.max(0.1, ...stages.map((value) => Math.abs(value) * 1.15));
    return {
      plots: [
        { x: [0.5, 4.5], y: [-reach, reach], zero: { y: [0] }, stages: { x: [1, 2, 3, 4], y: stages } },
        { x: [-6.2, 6.2], y: [0, 0.29], slope: { x: axis, y: axis.map(slope) }, here: { x: [z], y: [slope(z)] } },
      ],
      finding:
        `From output 1 arrives ${set(v1)} · ${fixed(errors[0], 4)} = ${fixed(parts[0], 4)}, from output 2 ` +
        `${set(v2)} · ${fixed(errors[1], 4)} = ${fixed(parts[1], 4)}. The sum ${fixed(sum, 4)}, times the slope ` +
        `${fixed(slope(z), 4)} at z = ${set(z)}, is the unit's error δ = ${fixed(delta, 4)}.`,
      head: ["what", "output 1", "output 2", "unit"],
      rows: [
        ["activation", ...[...outputs, sigmoid(z)].map((value) => cell(value, fixed(value, 4)))],
        ["slope", ...[...outputs.map((a) => a * (1 - a)), slope(z)].map((value) => cell(value, fixed(value, 4)))],
        ["arrives at the unit", ...[...parts, sum].map((value) => cell(value, fixed(value, 4)))],
        ["error δ", ...[...errors, delta].map((value) => cell(value, fixed(value, 4)))],
      ],
    };
  };
});
