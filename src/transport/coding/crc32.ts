/**
 * CRC-32 of a whole from those of its parts, without looking at their bytes again.
 *
 * The CRC is a remainder of polynomials over GF(2): to append n bytes is to multiply by x^8n and to add.
 * Numbers hold polynomials as the CRC does, the highest bit being x^0.
 */

/** The polynomial of gzip's CRC (RFC 1952 §8). */
const POLYNOMIAL = 0xedb88320 | 0;
const ONE = 0x80000000 | 0;

/** x^(2^k), by k. Squaring comes round after 32 of them. */
const POWERS: readonly number[] = (() => {
  const powers = [0x40000000];
  while (powers.length < 32) powers.push(multiply(powers.at(-1)!, powers.at(-1)!));
  return powers;
})();

/** The product modulo the polynomial, in some 50 ns: signed numbers keep the engine from using floats. */
function multiply(a: number, b: number): number {
  let product = 0;
  // The bits of `a` move out at the top, from x^0 on.
  for (; a !== 0; a <<= 1) {
    if (a < 0) product ^= b;
    b = (b & 1) === 0 ? b >>> 1 : (b >>> 1) ^ POLYNOMIAL;
  }
  return product;
}

/** What appending so many bytes multiplies a CRC by. */
export function shiftOf(bytes: number): number {
  let shift = ONE;
  // Three more powers of two are the eight bits of a byte.
  for (let k = 3, rest = bytes; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shift = multiply(POWERS[k % 32]!, shift);
  }
  return shift;
}

/**
 * @param first CRC-32 of what stands first.
 * @param second CRC-32 of what follows.
 * @param shift `shiftOf` the length of what follows.
 * @returns CRC-32 of both.
 */
export function combineCrc32(first: number, second: number, shift: number): number {
  return (multiply(first | 0, shift) ^ second) >>> 0;
}
