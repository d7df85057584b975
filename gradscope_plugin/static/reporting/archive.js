/** The replies that a report holds, see `packing.py`; each read when asked. */

const EXACT = 0;

// Blocks of replies that stay unpacked, of some 100 kB each.
const UNPACKED = 64;

// As in `packing.py`: codes of rounded numbers.
const LOWEST = -45;
const NAN_CODE = 90_000;
const INFINITY_CODE = 90_001;

/**
 * Opens an archive: its description, and a function that reads a reply.
 * @param {Uint8Array} bytes
 */
export async function openArchive(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(
    await inflated(bytes.subarray(4, 4 + length))));
  let end = 4 + length;
  const places = index.blocks.map((size) => {
    end += size;
    return [end - size, end];
  });
  const blocks = new Map();

  function block(number) {
    if (!blocks.has(number)) {
      blocks.set(number, inflated(bytes.subarray(...places[number])));
      if (blocks.size > UNPACKED) blocks.delete(blocks.keys().next().value);
    }
    return blocks.get(number);
  }

  return {
    about: index.about,

    /**
     * Returns the bytes of a reply as a server has it, null if the report lacks
     * it.
     * @param {string} key
     * @throws {Error} if the reply is an error, whose text it is
     */
    async read(key) {
      if (!Object.hasOwn(index.answers, key)) return null;
      const [number, start, size, kind] = index.answers[key];
      const part = (await block(number)).slice(start, start + size);
      if (kind === 'error') throw new Error(new TextDecoder().decode(part));
      return kind === 'matrix' ? decodeMatrix(part) : part.buffer;
    },
  };
}

/** Returns the name of a reply, as `routes.key_of` does. */
export function keyOf(path, query) {
  const names = Object.keys(query).sort();
  return [path, ...names.map((name) => `${name}=${query[name]}`)].join('\n');
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Returns a packed matrix as the server sends it, see `http_api.md`.
 * @param {Uint8Array} packed a copy, which begins a buffer of its own
 * @return {ArrayBuffer}
 */
export function decodeMatrix(packed) {
  const [rows, columns, written, coding] = new Uint32Array(packed.buffer, 0, 4);
  const head = [rows, columns, 0, columns, 0, written];
  const reply = new ArrayBuffer(24 + 8 * columns + 4 * rows * columns);
  new Uint32Array(reply, 0, 6).set(head);
  const steps = new Float64Array(reply, 24, columns);
  let step = 0;
  new Float64Array(packed.buffer, 16, columns).forEach((difference, i) => {
    step += difference;
    steps[i] = step;
  });
  const codes = codesOf(packed.subarray(16 + 8 * columns), rows, columns,
    coding === EXACT ? 4 : 3);
  const start = 24 + 8 * columns;
  if (coding === EXACT) new Int32Array(reply, start).set(codes);
  else new Float32Array(reply, start).set(numbers(codes));
  return reply;
}

/** Puts planes of bytes together, and adds up the differences of a row. */
function codesOf(planes, rows, columns, count) {
  const size = rows * columns;
  const codes = new Int32Array(size);
  for (let row = 0; row < rows; row++) {
    let code = 0;
    for (let cell = row * columns; cell < (row + 1) * columns; cell++) {
      let folded = 0;
      for (let plane = 0; plane < count; plane++) {
        folded |= planes[plane * size + cell] << 8 * plane;
      }
      // The lowest bit is the sign, see `encode` in `packing.py`.
      code = code + (folded >>> 1 ^ -(folded & 1)) | 0;
      codes[cell] = code;
    }
  }
  return codes;
}

const decoded = new Map();

/** Returns the numbers of codes; text makes them what three digits name. */
function numbers(codes) {
  const values = new Float32Array(codes.length);
  codes.forEach((code, cell) => {
    let value = decoded.get(code);
    if (value === undefined) {
      value = numberOf(Math.abs(code)) * Math.sign(code);
      decoded.set(code, value);
    }
    values[cell] = value;
  });
  return values;
}

function numberOf(code) {
  if (code === 0) return 0;
  if (code === NAN_CODE) return NaN;
  if (code === INFINITY_CODE) return Infinity;
  const power = Math.floor((code - 1) / 900);
  return Number(`${(code - 1) % 900 + 100}e${power + LOWEST - 2}`);
}
