//! Tables by which the errors of an API are classified.

mod api_error;
mod providers;
mod reading;
mod rule;
mod table;
#[cfg(test)]
mod tests;

pub use api_error::ApiError;
pub(crate) use reading::ErrorText;
pub use rule::ErrorRule;
pub use table::ErrorTable;
