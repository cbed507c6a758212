// Arrays as kdjax.pages.packing makes them: deflate, byte planes, zigzag, differences.

const TYPES = {
  int8: [Int8Array, Uint8Array],
  int16: [Int16Array, Uint16Array],
  int32: [Int32Array, Uint32Array],
  float32: [Float32Array, Uint32Array],
};

function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Byte planes, low bytes first, as one number for each value. */
function fromPlanes(planes, type) {
  const [Values, Unsigned] = TYPES[type];
  const size = Values.BYTES_PER_ELEMENT;
  const length = planes.length / size;
  const whole = new Unsigned(planes.subarray(0, length));
  for (let byte = 1; byte < size; byte++) {
    const plane = planes.subarray(byte * length, (byte + 1) * length);
    for (let i = 0; i < length; i++) whole[i] |= plane[i] << (8 * byte);
  }
  if (type === "float32") return new Float32Array(whole.buffer);
  const values = new Values(length);
  let last = 0;
  for (let i = 0; i < length; i++) {
    values[i] = last + ((whole[i] >>> 1) ^ -(whole[i] & 1));
    last = values[i];
  }
  return values;
}

async function unpack(packed) {
  return fromPlanes(await inflate(fromBase64(packed.data)), packed.type);
}

/** The strips' signal: an Int16Array for each lead. */
async function unpackTape(tape) {
  const leads = tape.leads.map(() => new Int16Array(tape.length));
  const inflated = await Promise.all(tape.chunks.map((chunk) => inflate(fromBase64(chunk))));
  let start = 0;
  for (const bytes of inflated) {
    const values = fromPlanes(bytes, "int16");
    const length = values.length / tape.leads.length;
    leads.forEach((lead, i) => lead.set(values.subarray(i * length, (i + 1) * length), start));
    start += length;
  }
  return leads;
}
