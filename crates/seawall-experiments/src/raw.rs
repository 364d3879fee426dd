//! A file of experiments as it is written, before anything is checked.

use serde::Deserialize;
use toml::Spanned;

macro_rules! tables {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$attr:meta])* $field:ident: $Type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $Name {
            $($(#[$attr])* pub(crate) $field: $Type,)*
        }
    )*};
}

tables! {
    RawFile {
        #[serde(default)] calendar: Vec<Spanned<RawCalendar>>,
        #[serde(default)] experiment: Vec<Spanned<RawExperiment>>,
    }
    RawCalendar {
        name: String,
        zone: String,
        /// Where its holidays come from.
        source: Option<String>,
        session: Option<Vec<RawHours>>,
        #[serde(default)] closed: Vec<String>,
        #[serde(default)] early: Vec<RawEarly>,
    }
    RawEarly {
        date: String,
        to: String,
    }
    RawHours {
        days: Vec<String>,
        from: String,
        to: String,
        /// Of business hours alone: a calendar has its own.
        zone: Option<String>,
    }
    RawExperiment {
        name: String,
        #[serde(default)] about: String,
        #[serde(default)] production: bool,
        #[serde(default)] orders: bool,
        hypothesis: RawCondition,
        fault: Vec<RawFault>,
        schedule: RawSchedule,
        hours: Option<RawHours>,
        market: Option<RawMarket>,
        blast_radius: RawRadius,
        #[serde(default)] guard: Vec<RawCondition>,
        run: RawRun,
    }
    /// A hypothesis or a guard.
    RawCondition {
        metric: String,
        service: Option<String>,
        at_least: Option<f64>,
        at_most: Option<f64>,
        /// Of a hypothesis: the share of samples that may be outside of the bound.
        tolerated: Option<f64>,
        /// Of a guard: how long the figure must be outside of the bound.
        lasts: Option<String>,
    }
    RawSchedule {
        cron: Option<String>,
        at: Option<String>,
        game_day: Option<bool>,
        zone: Option<String>,
        from: Option<String>,
        until: Option<String>,
    }
    RawMarket {
        calendar: String,
        #[serde(default)] allow_open: bool,
    }
    RawRadius {
        services: Vec<String>,
        traffic: Option<f64>,
        keys: Option<Vec<String>>,
        share_of_keys: Option<f64>,
        operations: Option<Vec<String>>,
    }
    RawRun {
        during: String,
        before: Option<String>,
        after: Option<String>,
        every: Option<String>,
        recovered: Option<String>,
        /// A whole number that is no `u64` is an error with its name.
        seed: Option<i64>,
    }
    RawFault {
        kind: String,
        intensity: Option<f64>,
        /// One of the services of the blast radius; all of them unless set.
        service: Option<String>,
        delay: Option<RawDelay>,
        status: Option<i64>,
        headers: Option<std::collections::BTreeMap<String, String>>,
        body: Option<String>,
        ahead: Option<String>,
        behind: Option<String>,
    }
    /// A length of time, or one of the distributions.
    RawDelay {
        constant: Option<String>,
        from: Option<String>,
        to: Option<String>,
        mean: Option<String>,
        deviation: Option<String>,
        median: Option<String>,
        sigma: Option<f64>,
        least: Option<String>,
        shape: Option<f64>,
        at_most: Option<String>,
    }
}
