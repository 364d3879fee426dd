//! Tests of Seawall across its crates; see `tests/`.
