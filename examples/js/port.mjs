// A port of two steps of Qwen2.5-VL in JavaScript, written from spec/07-windows.md and spec/09-mrope.md: the order of
// tokens in windows, and the three positions of each token.
//
//     node port.mjs CASE OUT    reads CASE/bin, computes, writes a dump into the directory OUT
//
// Exit code 77 says that it does not do a case. FAULT=1 or 2 in the environment plants a fault that the checker must
// find: the order of windows taken for its inverse; seconds cut before the product.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const SKIPPED = 77;
const MERGE_P = 2; // side of a merge block in patches, in every release
const PADDED_POSITION = 1;
const FAULT = Number(process.env.FAULT ?? 0);

// ------------------------------------------------------------------- reading a case, writing a dump

/** Reads index.json; tensors are read when they are asked for. */
function readCase(directory) {
  const { tensors } = JSON.parse(readFileSync(join(directory, "bin", "index.json"), "utf8"));
  const entries = new Map(tensors.map((entry) => [entry.name, entry]));
  return {
    has: (name) => entries.has(name),
    shape: (name) => entries.get(name).shape,
    values: (name) => valuesOf(join(directory, "bin"), entries.get(name)),
  };
}

/** Values of a tensor as numbers: I64 below 2**53, F64, U8 or BOOL. */
function valuesOf(directory, { name, file, offset, dtype, shape }) {
  const bytes = readFileSync(join(directory, file));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const readers = {
    I64: (i) => Number(view.getBigInt64(offset + 8 * i, true)), // little-endian
    F64: (i) => view.getFloat64(offset + 8 * i, true),
    U8: (i) => view.getUint8(offset + i),
    BOOL: (i) => view.getUint8(offset + i),
  };
  if (!(dtype in readers)) throw new Error(`${name} is ${dtype}; this port reads ${Object.keys(readers).join(", ")}`);
  return Array.from({ length: product(shape) }, (_, i) => readers[dtype](i));
}

/** Writes parts, `{name: [shape, integers]}`, in the form that cases are read in. */
function writeDump(directory, parts) {
  const tensors = [];
  const data = [];
  for (const [name, [shape, values]] of Object.entries(parts)) {
    if (values.length !== product(shape)) throw new Error(`${name}: ${values.length} values for the shape ${shape}`);
    tensors.push({ name, file: "data.bin", offset: 8 * data.length, dtype: "I64", shape });
    for (const value of values) data.push(value);
  }
  const bytes = new DataView(new ArrayBuffer(8 * data.length));
  data.forEach((value, i) => bytes.setBigInt64(8 * i, BigInt(value), true));
  writeFileSync(join(directory, "data.bin"), bytes);
  const index = { schema: "qwen25vl-bin", schema_version: "1.0.0", tensors };
  writeFileSync(join(directory, "index.json"), JSON.stringify(index));
}

const product = (numbers) => numbers.reduce((all, number) => all * number, 1);
const range = (start, end, step = 1) =>
  Array.from({ length: Math.ceil((end - start) / step) }, (_, i) => start + i * step);
const triples = (numbers) => range(0, numbers.length, 3).map((i) => numbers.slice(i, i + 3));

// ------------------------------------------------------------------- section 07: window order

/** Tokens window by window, and where each window begins, in patches. Clauses W1 to W3. */
function windowOrder(grids, window_m) {
  const order = [];
  const starts = [0];
  let first = 0; // number of the frame's first token
  for (const [T, H, W] of grids) {
    const [Hm, Wm] = [H / MERGE_P, W / MERGE_P];
    for (let t = 0; t < T; t++, first += Hm * Wm)
      for (const top of range(0, Hm, window_m))
        for (const left of range(0, Wm, window_m)) {
          for (const row of range(top, Math.min(top + window_m, Hm)))
            for (const column of range(left, Math.min(left + window_m, Wm))) order.push(first + row * Wm + column);
          starts.push(order.length * MERGE_P ** 2);
        }
  }
  return { order, starts };
}

function windowParts(given) {
  const grids = triples(given.values("inputs.grids"));
  const { order, starts } = windowOrder(grids, given.values("inputs.window_m")[0]);
  const place = new Array(order.length);
  order.forEach((token, i) => (place[token] = i));
  const frames = [0];
  for (const [T, H, W] of grids) for (let t = 0; t < T; t++) frames.push(frames.at(-1) + H * W); // W6
  return {
    "vision.window_order": [[order.length], FAULT === 1 ? place : order],
    "vision.window_starts": [[starts.length], starts],
    "vision.frame_starts": [[frames.length], frames],
    "outputs.place": [[place.length], place],
  };
}

// ------------------------------------------------------------------- section 09: MRoPE

/** Time of row t, both products in float32, cut behind the second. Clauses T5 and T6. */
function timeOf(t, secondPerGrid, tokensPerSecond) {
  const seconds = Math.fround(t * Math.fround(FAULT === 2 ? Math.trunc(secondPerGrid) : secondPerGrid));
  return Math.trunc(Math.fround(seconds * tokensPerSecond));
}

/** Positions of the tokens of one medium, counted from 0: frame by frame, row by row, column by column. (T4) */
function blockPositions({ grid: [T, H, W], secondPerGrid }, merge_p, tokensPerSecond) {
  return range(0, T).flatMap((t) =>
    range(0, H / merge_p).flatMap((h) =>
      range(0, W / merge_p).map((w) => [timeOf(t, secondPerGrid, tokensPerSecond), h, w]),
    ),
  );
}

/** Positions of one row without padding, a triple for each id, and one more than the largest. */
function rowPositions(ids, queues, merge_p, tokensPerSecond) {
  const positions = [];
  let start = 0; // T2, T3: one more than the largest so far, on any axis
  while (positions.length < ids.length) {
    const queue = queues.get(ids[positions.length]);
    if (queue?.length === 0) throw new Error(`a pad at index ${positions.length} has no grid`);
    const block = queue === undefined ? [[0, 0, 0]] : blockPositions(queue.shift(), merge_p, tokensPerSecond); // T1, T8
    const run = ids.slice(positions.length, positions.length + block.length);
    if (run.length < block.length || run.some((id) => id !== run[0]))
      throw new Error("a run of pads does not fit its grid");
    const first = start;
    for (const axes of block) {
      positions.push(axes.map((position) => first + position));
      start = Math.max(start, ...positions.at(-1).map((position) => position + 1));
    }
  }
  return { positions, end: start };
}

function positionParts(given, suffix) {
  const [imageId, videoId, merge_p, tokensPerSecond] = given.values("inputs.constants");
  const seconds = given.values("inputs.second_per_grid");
  const media = (name, secondsOf) =>
    triples(given.values(name)).map((grid, i) => ({ grid, secondPerGrid: secondsOf[i] ?? 0 }));
  const queues = new Map([
    [imageId, media("inputs.image_grids", [])],
    [videoId, media("inputs.video_grids", seconds)],
  ]);
  const shape = given.shape(`inputs.ids${suffix}`);
  const [B, L] = shape.length === 2 ? shape : [1, shape[0]];
  const ids = given.values(`inputs.ids${suffix}`);
  const mask = given.has(`inputs.mask${suffix}`) ? given.values(`inputs.mask${suffix}`) : ids.map(() => 1);

  const found = new Array(3 * B * L).fill(PADDED_POSITION); // T9
  const delta = range(0, B).map((b) => {
    const real = range(b * L, (b + 1) * L).filter((i) => mask[i]);
    const row = rowPositions(real.map((i) => ids[i]), queues, merge_p, tokensPerSecond);
    row.positions.forEach((axes, i) => axes.forEach((position, axis) => (found[axis * B * L + real[i]] = position)));
    return row.end - L; // T7: against the padded length
  });
  if ([...queues.values()].some((queue) => queue.length > 0)) throw new Error("there are grids without pads");

  const name = shape.length === 2 ? `outputs.positions${suffix}` : "language.positions";
  const parts = { [name]: [[3, ...shape], found], [`outputs.delta${suffix}`]: [[B], delta] };
  if (given.has("outputs.later_positions")) {
    const [, steps] = given.shape("outputs.later_positions");
    const later = range(L, L + steps).map((i) => i + delta[0]); // T7
    parts["outputs.later_positions"] = [[3, steps], [...later, ...later, ...later]];
  }
  return parts;
}

function main([directory, out]) {
  if (out === undefined) throw new Error("usage: node port.mjs CASE OUT");
  const given = readCase(directory);
  const parts = given.has("inputs.window_m") ? windowParts(given) : {};
  if (given.has("inputs.constants"))
    for (const suffix of ["", "_left", "_right"])
      if (given.has(`inputs.ids${suffix}`)) Object.assign(parts, positionParts(given, suffix));
  if (Object.keys(parts).length === 0) process.exit(SKIPPED);
  writeDump(out, parts);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
