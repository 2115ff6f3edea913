//! Zigzag varints, seven bits a byte, low bits first; at most ten bytes.

/// The most bytes a varint can take.
pub(super) const MAX_BYTES: usize = 10;

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// How many bytes `value` takes.
pub(super) const fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes `value` at the front of `out` and returns how many bytes it took.
pub(super) fn put(out: &mut [u8], value: i64) -> usize {
    let mut rest = zigzag(value);
    let mut index = 0;
    while rest >= 0x80 {
        out[index] = (rest as u8) | 0x80;
        rest >>= 7;
        index += 1;
    }
    out[index] = rest as u8;
    index + 1
}

/// Takes a varint off the front of `bytes`; nothing when it is cut off or too long.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for index in 0..MAX_BYTES {
        let byte = *bytes.get(index)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}
