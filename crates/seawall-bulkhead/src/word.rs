//! The word of the places: `free:56 | flags:8`.
//!
//! `free` may be changed by anybody, and is below zero while more places are taken than there are
//! (the limit was lowered, or the layer only watches). Flags are changed only under the lock of the
//! line.

/// Somebody is in line. Those who stand aside are not: they hold nobody up.
pub(crate) const LINE: u64 = 1;
/// Nobody may join the line.
pub(crate) const FULL: u64 = 1 << 1;
/// Nobody gets a place, new calls are rejected.
pub(crate) const PAUSED: u64 = 1 << 2;
/// New calls are rejected.
pub(crate) const DRAINING: u64 = 1 << 3;
/// Everybody gets a place.
pub(crate) const SHADOW: u64 = 1 << 4;
/// Somebody is to be told when every place is free.
pub(crate) const WATCHED: u64 = 1 << 5;
/// What closes the short way.
pub(crate) const CLOSED: u64 = LINE | PAUSED | DRAINING | SHADOW | WATCHED;
/// What makes giving back a place more than an addition.
pub(crate) const ASKED: u64 = LINE | WATCHED;

const FREE_BIT: u32 = 8;
pub(crate) const FREE: u64 = 1 << FREE_BIT;

pub(crate) const fn free(word: u64) -> i64 {
    word as i64 >> FREE_BIT
}

/// `by` as an addition to the word. Carries out of the top are those of negative numbers.
pub(crate) const fn places(by: i64) -> u64 {
    (by << FREE_BIT) as u64
}

/// Whether somebody in line may have a place.
pub(crate) const fn grants(word: u64) -> bool {
    (free(word) > 0 && word & PAUSED == 0) || word & SHADOW != 0
}
