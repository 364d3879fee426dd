//! Where a latency is counted: sixteen buckets per octave, the log-linear layout of G. Tene's
//! HdrHistogram.

/// The bits of a sample below its leading one that choose a bucket: sixteen buckets per octave.
const SUB_BITS: u32 = 4;
const SUBS: u32 = 1 << SUB_BITS;
/// Samples differ from 1,024 ns on.
const UNIT_BITS: u32 = 10;
/// Sixteen single units, and sixteen buckets for each octave of a 32-bit number above them.
pub(crate) const BUCKETS: usize = ((32 - SUB_BITS + 1) * SUBS) as usize;

/// The bucket of so many nanoseconds; the last one from 73 minutes on.
#[inline]
pub(crate) const fn bucket(ns: u64) -> usize {
    let units = ns >> UNIT_BITS;
    let units = if units > u32::MAX as u64 {
        u32::MAX
    } else {
        units as u32
    };
    if units < SUBS {
        return units as usize;
    }
    let octave = units.ilog2();
    let sub = (units >> (octave - SUB_BITS)) & (SUBS - 1);
    ((octave - SUB_BITS + 1) * SUBS + sub) as usize
}

/// The end of a bucket in nanoseconds, which the next one begins with.
pub(crate) const fn upper(index: usize) -> u64 {
    let (row, sub) = (index as u32 / SUBS, (index as u32 % SUBS) as u64);
    let units = match row.checked_sub(1) {
        None => sub + 1,
        Some(shift) => (SUBS as u64 + sub + 1) << shift,
    };
    units << UNIT_BITS
}

/// The beginning of a bucket in nanoseconds.
pub(crate) const fn lower(index: usize) -> u64 {
    match index.checked_sub(1) {
        None => 0,
        Some(before) => upper(before),
    }
}
