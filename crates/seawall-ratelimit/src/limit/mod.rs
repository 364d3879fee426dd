//! The rules of providers.

mod daily_reset;
mod quota_file;
mod rule;
mod typed;

pub use self::daily_reset::DailyReset;
#[cfg(test)]
pub(crate) use self::quota_file::tests as tests_of_files;
pub use self::quota_file::{QuotaFile, QuotaFileError};
pub use self::rule::Limit;
pub(crate) use self::rule::{Kind, MAX_LIMITS};
pub use self::typed::{BucketLimit, DailyLimit, Quota, StrictLimit, WindowLimit};
