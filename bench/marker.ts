/** The marker that each published message carries, and how it is found again in whatever bytes come. */

/** `@@`, eight digits, `@@`: nothing that JSON, SSE, a WebSocket frame or HTTP escapes or breaks up. */
const MARKER_BYTES = 12;
const AT = 0x40;
const DIGIT_0 = 0x30;

export function formatMarker(sequence: number): string {
  return `@@${String(sequence).padStart(8, "0")}@@`;
}

/** What one connection remembers between two chunks: the beginning of a marker that was cut. */
export interface Carry {
  tail: Uint8Array | null;
  tailBytes: number;
}

/**
 * Calls `found` for each marker in the stream of which `chunk` is the next piece, cut ones included.
 * Nothing is allocated, but for 11 bytes the first time that a connection's marker is cut.
 */
export function scanMarkers<T extends Carry>(
  stream: T,
  chunk: Uint8Array,
  found: (stream: T, sequence: number) => void,
): void {
  let from = 0;
  if (stream.tailBytes > 0) {
    if (chunk.length < MARKER_BYTES) return scanMarkers(stream, takeTail(stream, chunk), found);
    from = scanSeam(stream, chunk, found);
  }
  // Messages of one run are of one size, so the next marker is mostly as far off as this one was. A
  // look there costs a tenth of a search, and where it is wrong the search follows. The way to the
  // first marker tells nothing: a head of another length may stand before it.
  let gap = 0;
  let isFirst = true;
  for (;;) {
    let at = from + gap;
    let sequence = gap > 0 ? markerAt(chunk, at) : -1;
    if (sequence < 0) {
      at = chunk.indexOf(AT, from);
      while (at >= 0 && (sequence = markerAt(chunk, at)) < 0) at = chunk.indexOf(AT, at + 1);
      if (at < 0) break;
      gap = isFirst ? 0 : at - from;
      isFirst = false;
    }
    found(stream, sequence);
    from = at + MARKER_BYTES;
  }
  keepTail(stream, chunk, from);
}

/** The sequence number of the marker at `at`, or -1 when none is there. */
function markerAt(bytes: Uint8Array, at: number): number {
  if (at + MARKER_BYTES > bytes.length || bytes[at] !== AT || bytes[at + 1] !== AT) return -1;
  if (bytes[at + 10] !== AT || bytes[at + 11] !== AT) return -1;
  let sequence = 0;
  for (let i = at + 2; i < at + 10; i++) {
    const digit = bytes[i]! - DIGIT_0;
    if (digit < 0 || digit > 9) return -1;
    sequence = sequence * 10 + digit;
  }
  return sequence;
}

function keepTail(stream: Carry, chunk: Uint8Array, from: number): void {
  const at = chunk.indexOf(AT, Math.max(from, chunk.length - MARKER_BYTES + 1));
  if (at < 0) return;
  stream.tail ??= new Uint8Array(MARKER_BYTES - 1);
  stream.tailBytes = chunk.length - at;
  for (let i = 0; i < stream.tailBytes; i++) stream.tail[i] = chunk[at + i]!;
}

const seam = new Uint8Array(2 * (MARKER_BYTES - 1));

/** Looks where the tail and this chunk meet; returns how many bytes of the chunk that took. */
function scanSeam<T extends Carry>(
  stream: T,
  chunk: Uint8Array,
  found: (stream: T, sequence: number) => void,
): number {
  const { tailBytes } = stream;
  seam.set(stream.tail!);
  seam.set(chunk.subarray(0, MARKER_BYTES - 1), tailBytes);
  stream.tailBytes = 0;
  for (let at = 0; at < tailBytes; at++) {
    const sequence = markerAt(seam, at);
    if (sequence < 0) continue;
    found(stream, sequence);
    return at + MARKER_BYTES - tailBytes;
  }
  return 0;
}

function takeTail(stream: Carry, chunk: Uint8Array): Uint8Array {
  const joined = Buffer.concat([stream.tail!.subarray(0, stream.tailBytes), chunk]);
  stream.tailBytes = 0;
  return joined;
}
