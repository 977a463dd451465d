/**
 * Hashes over bytes in the node's memory: XXH64 (page checksums, rule V5) and XXH3-64 (shard keys, SHD-15), both with
 * seed 0. Written from the published description of the xxHash family.
 *
 * Invariants: nothing is read outside [address, address + length); nothing is written but `out`. Loads are unaligned.
 */

const P32_1: u64 = 0x9e3779b1;
const P32_2: u64 = 0x85ebca77;
const P32_3: u64 = 0xc2b2ae3d;
const P64_1: u64 = 0x9e3779b185ebca87;
const P64_2: u64 = 0xc2b2ae3d27d4eb4f;
const P64_3: u64 = 0x165667b19e3779f9;
const P64_4: u64 = 0x85ebca77c2b2ae63;
const P64_5: u64 = 0x27d4eb2f165667c5;
const MX1: u64 = 0x165667919e3779f9;
const MX2: u64 = 0x9fb21c651e98df25;

/** The checksum field of every page, left out of its own sum (page-prototype.md, recommended page). */
const CHECKSUM_AT: usize = 112;

// @ts-ignore: decorator
@inline
function round64(lane: u64, input: u64): u64 {
  return rotl<u64>(lane + input * P64_2, 31) * P64_1;
}

// @ts-ignore: decorator
@inline
function merge64(hash: u64, lane: u64): u64 {
  return (hash ^ round64(0, lane)) * P64_1 + P64_4;
}

// @ts-ignore: decorator
@inline
function avalanche64(hash: u64): u64 {
  hash = (hash ^ (hash >> 33)) * P64_2;
  hash = (hash ^ (hash >> 29)) * P64_3;
  return hash ^ (hash >> 32);
}

/** What remains after whole stripes: at most 31 bytes. */
// @ts-ignore: decorator
@inline
function tail64(hash: u64, at: usize, end: usize): u64 {
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ round64(0, load<u64>(at)), 27) * P64_1 + P64_4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ (<u64>load<u32>(at) * P64_1), 23) * P64_2 + P64_3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ (<u64>load<u8>(at) * P64_5), 11) * P64_1;
  return avalanche64(hash);
}

export function hash64(address: usize, length: usize): u64 {
  const end = address + length;
  let hash: u64;
  if (length >= 32) {
    let a = P64_1 + P64_2;
    let b = P64_2;
    let c: u64 = 0;
    let d: u64 = 0 - P64_1;
    const last = end - 32;
    do {
      a = round64(a, load<u64>(address));
      b = round64(b, load<u64>(address, 8));
      c = round64(c, load<u64>(address, 16));
      d = round64(d, load<u64>(address, 24));
      address += 32;
    } while (address <= last);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge64(merge64(merge64(merge64(hash, a), b), c), d);
  } else {
    hash = P64_5;
  }
  return tail64(hash + <u64>length, address, end);
}

export function xxh64(address: usize, length: usize, out: usize): void {
  store<u64>(out, hash64(address, length));
}

/** XXH64 over the page as if the checksum field were cut out; the page is a multiple of 4 KiB. */
function pageSum(page: usize, pageSize: usize): u64 {
  const end = page + pageSize;
  let a = P64_1 + P64_2;
  let b = P64_2;
  let c: u64 = 0;
  let d: u64 = 0 - P64_1;
  let at = page;
  // 112 = 3 stripes and a half: the half is completed with the 16 bytes behind the field.
  for (let stripe = 0; stripe < 3; stripe++, at += 32) {
    a = round64(a, load<u64>(at));
    b = round64(b, load<u64>(at, 8));
    c = round64(c, load<u64>(at, 16));
    d = round64(d, load<u64>(at, 24));
  }
  a = round64(a, load<u64>(page, CHECKSUM_AT - 16));
  b = round64(b, load<u64>(page, CHECKSUM_AT - 8));
  c = round64(c, load<u64>(page, CHECKSUM_AT + 8));
  d = round64(d, load<u64>(page, CHECKSUM_AT + 16));
  at = page + CHECKSUM_AT + 24;
  const last = end - 32;
  for (; at <= last; at += 32) {
    a = round64(a, load<u64>(at));
    b = round64(b, load<u64>(at, 8));
    c = round64(c, load<u64>(at, 16));
    d = round64(d, load<u64>(at, 24));
  }
  let hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  hash = merge64(merge64(merge64(merge64(hash, a), b), c), d);
  return tail64(hash + <u64>(pageSize - 8), at, end);
}

export function pageChecksumStore(page: usize, pageSize: usize): void {
  store<u64>(page, pageSum(page, pageSize), CHECKSUM_AT);
}

export function pageChecksumMatches(page: usize, pageSize: usize): bool {
  return load<u64>(page, CHECKSUM_AT) == pageSum(page, pageSize);
}

/** The family's default secret, 192 bytes: part of the definition of XXH3. */
const SECRET = memory.data<u8>([
  0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
  0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
  0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
  0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
  0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
  0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
  0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
  0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
  0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16,
  0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f,
  0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
]);

/** Both halves of the 128-bit product xor-ed; wasm has no 64x64->128, so by 32-bit parts. */
// @ts-ignore: decorator
@inline
function foldProduct(x: u64, y: u64): u64 {
  const xl = x & 0xffffffff;
  const xh = x >> 32;
  const yl = y & 0xffffffff;
  const yh = y >> 32;
  const ll = xl * yl;
  const hl = xh * yl;
  const lh = xl * yh;
  // Cannot overflow: (2^32-1)^2 + 2 (2^32-1) = 2^64 - 1.
  const middle = (ll >> 32) + (hl & 0xffffffff) + lh;
  const high = xh * yh + (hl >> 32) + (middle >> 32);
  const low = (middle << 32) | (ll & 0xffffffff);
  return high ^ low;
}

// @ts-ignore: decorator
@inline
function avalanche3(hash: u64): u64 {
  hash = (hash ^ (hash >> 37)) * MX1;
  return hash ^ (hash >> 32);
}

// @ts-ignore: decorator
@inline
function mix16(at: usize, secret: usize): u64 {
  return foldProduct(load<u64>(at) ^ load<u64>(secret), load<u64>(at, 8) ^ load<u64>(secret, 8));
}

const LANES = memory.data(64, 16);

// @ts-ignore: decorator
@inline
function accumulate(at: usize, secret: usize): void {
  for (let lane: usize = 0; lane < 64; lane += 16) {
    const value = v128.load(at + lane);
    const keyed = v128.xor(value, v128.load(secret + lane));
    // low halves times high halves of each 64-bit lane
    const low = v128.shuffle<i32>(keyed, keyed, 0, 2, 0, 2);
    const high = v128.shuffle<i32>(keyed, keyed, 1, 3, 1, 3);
    const product = i64x2.extmul_low_i32x4_u(low, high);
    const crossed = v128.shuffle<i64>(value, value, 1, 0);
    v128.store(LANES + lane, i64x2.add(i64x2.add(v128.load(LANES + lane), product), crossed));
  }
}

function long3(address: usize, length: usize): u64 {
  store<u64>(LANES, P32_3);
  store<u64>(LANES, P64_1, 8);
  store<u64>(LANES, P64_2, 16);
  store<u64>(LANES, P64_3, 24);
  store<u64>(LANES, P64_4, 32);
  store<u64>(LANES, P32_2, 40);
  store<u64>(LANES, P64_5, 48);
  store<u64>(LANES, P32_1, 56);
  const blocks = (length - 1) >> 10;
  for (let block: usize = 0; block < blocks; block++) {
    const from = address + (block << 10);
    for (let stripe: usize = 0; stripe < 16; stripe++) accumulate(from + (stripe << 6), SECRET + (stripe << 3));
    for (let lane: usize = 0; lane < 64; lane += 8) {
      let value = load<u64>(LANES + lane);
      value ^= value >> 47;
      value ^= load<u64>(SECRET + 128 + lane);
      store<u64>(LANES + lane, value * P32_1);
    }
  }
  const from = address + (blocks << 10);
  const stripes = (length - 1 - (blocks << 10)) >> 6;
  for (let stripe: usize = 0; stripe < stripes; stripe++) accumulate(from + (stripe << 6), SECRET + (stripe << 3));
  accumulate(address + length - 64, SECRET + 121);
  let hash = <u64>length * P64_1;
  for (let pair: usize = 0; pair < 64; pair += 16) {
    hash += foldProduct(
      load<u64>(LANES + pair) ^ load<u64>(SECRET + 11 + pair),
      load<u64>(LANES + pair, 8) ^ load<u64>(SECRET + 11 + pair, 8),
    );
  }
  return avalanche3(hash);
}

export function hash3(address: usize, length: usize): u64 {
  if (length <= 16) {
    if (length > 8) {
      const low = load<u64>(address) ^ load<u64>(SECRET, 24) ^ load<u64>(SECRET, 32);
      const high = load<u64>(address + length - 8) ^ load<u64>(SECRET, 40) ^ load<u64>(SECRET, 48);
      return avalanche3(<u64>length + bswap<u64>(low) + high + foldProduct(low, high));
    }
    if (length >= 4) {
      const first = <u64>load<u32>(address);
      const last = <u64>load<u32>(address + length - 4);
      let hash = (last + (first << 32)) ^ load<u64>(SECRET, 8) ^ load<u64>(SECRET, 16);
      hash ^= rotl<u64>(hash, 49) ^ rotl<u64>(hash, 24);
      hash *= MX2;
      hash ^= (hash >> 35) + <u64>length;
      hash *= MX2;
      return hash ^ (hash >> 28);
    }
    if (length > 0) {
      const combined =
        (<u64>load<u8>(address) << 16) |
        (<u64>load<u8>(address + (length >> 1)) << 24) |
        <u64>load<u8>(address + length - 1) |
        (<u64>length << 8);
      return avalanche64(combined ^ <u64>(load<u32>(SECRET) ^ load<u32>(SECRET, 4)));
    }
    return avalanche64(load<u64>(SECRET, 56) ^ load<u64>(SECRET, 64));
  }
  let hash = <u64>length * P64_1;
  if (length <= 128) {
    if (length > 32) {
      if (length > 64) {
        if (length > 96) hash += mix16(address + 48, SECRET + 96) + mix16(address + length - 64, SECRET + 112);
        hash += mix16(address + 32, SECRET + 64) + mix16(address + length - 48, SECRET + 80);
      }
      hash += mix16(address + 16, SECRET + 32) + mix16(address + length - 32, SECRET + 48);
    }
    return avalanche3(hash + mix16(address, SECRET) + mix16(address + length - 16, SECRET + 16));
  }
  if (length <= 240) {
    for (let at: usize = 0; at < 128; at += 16) hash += mix16(address + at, SECRET + at);
    hash = avalanche3(hash);
    hash += mix16(address + length - 16, SECRET + 119);
    const end = length & ~15;
    for (let at: usize = 128; at < end; at += 16) hash += mix16(address + at, SECRET + at - 125);
    return avalanche3(hash);
  }
  return long3(address, length);
}

export function xxh3_64(address: usize, length: usize, out: usize): void {
  store<u64>(out, hash3(address, length));
}
