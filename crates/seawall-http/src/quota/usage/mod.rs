//! The tokens that a response has used, in its body.

mod body;
mod members;
mod reader;

pub use body::MeteredBody;
pub use reader::{UsageReader, usage_of};
