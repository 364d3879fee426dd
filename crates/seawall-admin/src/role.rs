//! What somebody may do.

use serde::{Deserialize, Serialize};

/// What somebody may do. Each role may do what those before it may.
///
/// ```
/// use seawall_admin::Role;
///
/// assert!(Role::Admin > Role::Operator);
/// assert_eq!("operator".parse(), Ok(Role::Operator));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Commands layers, changes settings, stops trading.
    Operator,
    /// Resets what was learned, and lets orders pass again that a kill switch stops.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The role in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = seawall_core::InvalidConfig;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| {
            seawall_core::InvalidConfig::new(
                "role",
                format!("{text:?}"),
                "viewer, operator or admin",
            )
        })
    }
}
