//! Seawall beside its peers.
fn main() {}
