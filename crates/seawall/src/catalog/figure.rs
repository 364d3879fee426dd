//! Times, and how far a figure can be relied on.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A length of time: `"1m 30s"`, `"500ms"`, `"24h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) struct Time(pub(in crate::catalog) Duration);

/// What a length of time looks like.
pub(crate) const TIME: &str = "a length of time such as \"1m 30s\", \"500ms\" or \"24h\"";

pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = parse_time(&text).map(Self);
        time.ok_or_else(|| D::Error::custom(format!("`{text}` is not {TIME}")))
    }
}

/// How far a figure or a statement can be relied on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Read in the provider's own documentation or code.
    Verified,
    /// Read in somebody else's code or writing.
    ThirdParty,
    /// Nobody has published it: a choice of this library.
    Suggestion,
}

impl Mark {
    /// The mark in one or two words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::ThirdParty => "third party",
            Self::Suggestion => "suggestion",
        }
    }
}

/// A struct of the file. Each says where its figures come from.
macro_rules! sourced {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$attr:meta])* $field:ident: $Type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate::catalog) struct $Name {
            $($(#[$attr])* pub(in crate::catalog) $field: $Type,)*
            /// A key of the file's `sources`.
            pub(in crate::catalog) source: toml::Spanned<String>,
            pub(in crate::catalog) mark: $crate::catalog::Mark,
        }
    )*};
}
pub(super) use sourced;
