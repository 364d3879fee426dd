//! The permits of a pool against a plain list.
