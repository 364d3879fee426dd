//! Degraded answers: what they are, how they are marked, and who wants none.

mod degradation;
mod fresh;
mod header;
mod mark;

pub use degradation::{Degradation, Degraded};
pub use fresh::{AnyAge, WantsFresh};
pub use header::ParsedDegradation;
pub use mark::{ClassifyMarked, MarkDegraded, MarkInValue, NoMark};
