//! How a run ended.

use std::fmt;

use serde::Serialize;

macro_rules! words {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $word:literal, $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum $Name {
            $($(#[$doc])* #[serde(rename = $word)] $Variant,)*
        }

        impl $Name {
            /// The word in reports and metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $word,)*
                }
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$Variant => $text,)*
                })
            }
        }
    };
}

words! {
    /// How a run ended.
    #[non_exhaustive]
    pub enum Outcome {
        /// The hypothesis held while the faults were on, and afterwards.
        Held = "held", "the hypothesis held",
        /// It did not hold while the faults were on.
        Refuted = "refuted", "the hypothesis was refuted",
        /// It held while they were on, and not in time afterwards.
        NotRecovered = "not_recovered", "the system did not recover in time",
        /// A guard ended the faults.
        GuardTripped = "guard_tripped", "a guard ended it",
        /// Somebody ended the faults: by the emergency stop, or at a chaos layer.
        Stopped = "stopped", "it was stopped",
        /// The faults changed nothing, or less than half of the samples had a figure: nothing is shown.
        Inconclusive = "inconclusive", "it shows nothing",
        /// The hypothesis did not hold before, so that no fault was started.
        NotSteady = "not_steady", "it was not in steady state before, and not started",
        /// It may not run here and now.
        Refused = "refused", "it was refused",
    }
}

words! {
    /// Why an experiment may not run here and now.
    #[non_exhaustive]
    pub enum Refusal {
        /// The program runs in production, and the experiment does not say `production = true`.
        Production = "production", "it is not one for production",
        /// A market would be open.
        MarketOpen = "market_open", "a market is open",
        /// A part of it would be outside of its hours.
        OutsideHours = "outside_hours", "it is outside of its hours",
        /// It is one on orders, and the upstream is not simulated.
        Orders = "orders", "it would hit orders of a broker that is not simulated",
        /// Another experiment of the runner is under way.
        Running = "running", "another experiment is under way",
        /// The emergency stop has not been released.
        Stopped = "stopped", "the emergency stop is on",
        /// It was due more than a minute ago.
        Late = "late", "it was due too long ago",
        /// A layer could not start its faults, or is bypassed.
        Faults = "faults", "its faults could not be started",
    }
}

words! {
    /// A part of a run.
    #[non_exhaustive]
    pub enum Phase {
        /// Before the faults.
        Before = "before", "before",
        /// While they are on.
        During = "during", "during",
        /// Afterwards.
        After = "after", "after",
    }
}

impl Outcome {
    /// Every way in which a run ends.
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Refuted,
        Self::NotRecovered,
        Self::GuardTripped,
        Self::Stopped,
        Self::Inconclusive,
        Self::NotSteady,
        Self::Refused,
    ];
}
