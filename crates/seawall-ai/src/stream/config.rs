//! Settings.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

use super::dialect::Dialect;
use super::error::StreamErrorKind;
use crate::error_table::ErrorTable;

/// What a response of an AI API may take, in time and in bytes, and how its stream is read.
///
/// ```
/// use std::time::Duration;
/// use seawall_ai::ErrorTable;
/// use seawall_ai::stream::{Dialect, StreamConfig};
///
/// let config = StreamConfig::builder()
///     .dialect(Dialect::AnthropicMessages)
///     .errors(ErrorTable::anthropic())
///     .first_content(Duration::from_secs(30))
///     .build()?;
/// assert_eq!(config.between_contents(), Some(Duration::from_secs(60)), "the default");
///
/// let rejected = StreamConfig::builder().max_bytes(0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`max_bytes` is 0, accepted is at least 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    dialect: Dialect,
    errors: ErrorTable,
    first_content: Option<Duration>,
    between_contents: Option<Duration>,
    total: Option<Duration>,
    max_bytes: u64,
    max_event: usize,
    held_bytes: usize,
    held_events: u64,
}

impl StreamConfig {
    /// A builder with the defaults of [`StreamConfig::default`].
    pub fn builder() -> StreamConfigBuilder {
        StreamConfigBuilder::from(Self::default())
    }

    seawall_core::getters! {
        /// By which rules streams are read.
        pub const fn dialect -> Dialect;

        /// How the errors in a stream are classified.
        pub const fn errors -> &ErrorTable;

        /// How long a call may take to the first content.
        pub const fn first_content -> Option<Duration>;

        /// How long a reader of a stream may find no further content.
        pub const fn between_contents -> Option<Duration>;

        /// How long a response may take in total.
        pub const fn total -> Option<Duration>;

        /// How long a response may be, in bytes.
        pub const fn max_bytes -> u64;

        /// How long an event may be, in bytes.
        pub const fn max_event -> usize;

        /// How many bytes are held back until the first content.
        pub const fn held_bytes -> usize;

        /// How many events or frames are held back until the first content.
        pub const fn held_events -> u64;
    }
}

impl StreamConfig {
    /// The limit of time that a failure of this kind is about.
    pub(super) const fn limit_of(&self, kind: StreamErrorKind) -> Option<Duration> {
        match kind {
            StreamErrorKind::FirstContent => self.first_content,
            StreamErrorKind::BetweenContents => self.between_contents,
            StreamErrorKind::Total => self.total,
            _ => None,
        }
    }
}

impl Default for StreamConfig {
    /// Two minutes to the first content and one between contents, no limit in total; 64 MiB per
    /// response, 8 MiB per event, and a MiB and 1,024 events that are held back; the dialect is
    /// detected, and errors are those of [compatible](ErrorTable::compatible) servers.
    ///
    /// An event may have a picture, or all of a long response once more.
    fn default() -> Self {
        Self {
            dialect: Dialect::Detect,
            errors: ErrorTable::compatible(),
            first_content: Some(Duration::from_secs(120)),
            between_contents: Some(Duration::from_secs(60)),
            total: None,
            max_bytes: 64 << 20,
            max_event: 8 << 20,
            held_bytes: 1 << 20,
            held_events: 1_024,
        }
    }
}

/// Builds a [`StreamConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct StreamConfigBuilder {
    config: StreamConfig,
    is_event_set: bool,
    is_held_set: bool,
    is_first_set: bool,
    is_between_set: bool,
}

impl From<StreamConfig> for StreamConfigBuilder {
    /// Starts from these settings. Their waits become shorter with `total`, and their longest event
    /// with `max_bytes`.
    fn from(config: StreamConfig) -> Self {
        Self {
            config,
            is_event_set: false,
            is_held_set: false,
            is_first_set: false,
            is_between_set: false,
        }
    }
}

impl StreamConfigBuilder {
    /// Sets by which rules streams are read. Default: [what the events show](Dialect::Detect). Where it is
    /// known, set it: then no stream ends well without its final event.
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.config.dialect = dialect;
        self
    }

    /// Sets how the errors in a stream are classified. Default: [`ErrorTable::compatible`].
    pub fn errors(mut self, errors: ErrorTable) -> Self {
        self.config.errors = errors;
        self
    }

    /// Sets how long a call may take to the first content, with the wait for the head of the
    /// response: of a response that is no stream that is all. Default 2 minutes. Models that think
    /// first, and calls that do not stream, may need more.
    pub const fn first_content(mut self, limit: Duration) -> Self {
        self.is_first_set = true;
        self.config.first_content = Some(limit);
        self
    }

    /// Sets no limit to the time to the first content.
    pub const fn without_first_content(mut self) -> Self {
        self.is_first_set = true;
        self.config.first_content = None;
        self
    }

    /// Sets how long a reader of a stream may find no further content. Default 1 minute.
    pub const fn between_contents(mut self, limit: Duration) -> Self {
        self.is_between_set = true;
        self.config.between_contents = Some(limit);
        self
    }

    /// Sets no limit to the time between contents.
    pub const fn without_between_contents(mut self) -> Self {
        self.is_between_set = true;
        self.config.between_contents = None;
        self
    }

    seawall_core::setters! { self.config:
        /// Sets how long a response may take in total, from the call on, whether it is a stream or
        /// not. Default: no limit.
        pub const fn total(Some(Duration));

        /// Sets how long a response may be, in bytes, whether it is a stream or not. Default 64 MiB.
        pub const fn max_bytes(u64);

        /// Sets how many events are held back, or frames where these are shorter, as
        /// [`held_bytes`](Self::held_bytes). Default 1,024.
        pub const fn held_events(u64);
    }

    /// Sets how many bytes are held back until the first content. A stream that sends more before is
    /// passed on, and what is wrong with it later is an error of its body. Default 1 MiB, or `max_bytes`
    /// where that is less.
    pub const fn held_bytes(mut self, bytes: usize) -> Self {
        self.is_held_set = true;
        self.config.held_bytes = bytes;
        self
    }

    /// Sets how long an event may be, in bytes. Default 8 MiB, or `max_bytes` where that is less.
    pub const fn max_event(mut self, bytes: usize) -> Self {
        self.is_event_set = true;
        self.config.max_event = bytes;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names a limit that is zero, `first_content` or `between_contents` when it
    /// is longer than `total`, and `max_event` or `held_bytes` when it is more than `max_bytes`: they
    /// would have no effect.
    pub fn build(self) -> Result<StreamConfig, InvalidConfig> {
        let mut config = self.config;
        for (field, limit) in [
            ("first_content", config.first_content),
            ("between_contents", config.between_contents),
            ("total", config.total),
        ] {
            if let Some(limit) = limit {
                NonZeroDuration::check(field, limit)?;
            }
        }
        for (field, limit) in [
            ("max_bytes", config.max_bytes),
            ("max_event", config.max_event as u64),
            ("held_bytes", config.held_bytes as u64),
            ("held_events", config.held_events),
        ] {
            if limit == 0 {
                return Err(InvalidConfig::new(field, limit, "at least 1"));
            }
        }
        for (field, is_set, bytes) in [
            ("max_event", self.is_event_set, &mut config.max_event),
            ("held_bytes", self.is_held_set, &mut config.held_bytes),
        ] {
            if *bytes as u64 > config.max_bytes {
                if is_set {
                    let accepted = format!("at most `max_bytes`, {}", config.max_bytes);
                    return Err(InvalidConfig::new(field, *bytes, accepted));
                }
                *bytes = usize::try_from(config.max_bytes).unwrap_or(usize::MAX);
            }
        }
        let total = config.total.unwrap_or(Duration::MAX);
        for (field, is_set, limit) in [
            (
                "first_content",
                self.is_first_set,
                &mut config.first_content,
            ),
            (
                "between_contents",
                self.is_between_set,
                &mut config.between_contents,
            ),
        ] {
            if let Some(value) = limit.filter(|limit| *limit > total) {
                if is_set {
                    let accepted = format!("at most `total`, {total:?}");
                    return Err(InvalidConfig::new(field, format!("{value:?}"), accepted));
                }
                *limit = None;
            }
        }
        Ok(config)
    }
}
