//! Tests of Seawall across its crates; see `tests/`.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
