//! What is written before a request may leave.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use seawall_core::InvalidConfig;

use super::SavedRequest;
use crate::Operation;

/// The longest client order id, account and run, in bytes.
const MAX_NAME: usize = 255;
/// The most bytes of request and hook data.
const MAX_DATA: usize = 16 << 20;

/// A request that is about to be sent, with all that a later process needs to find out what became
/// of it.
///
/// ```
/// use std::time::SystemTime;
/// use seawall_orders::Operation;
/// use seawall_orders::journal::{Intent, SavedRequest};
///
/// let intent = Intent::new("desk-1-42", Operation::Create, SystemTime::now())
///     .account("alpaca/paper")
///     .run("2026-11-29T08:00:00Z/4711")
///     .request(SavedRequest::new("POST", "/v2/orders").body(r#"{"symbol":"AAPL"}"#));
/// assert_eq!(intent.id(), "desk-1-42");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub(super) id: Arc<str>,
    pub(super) kind: Operation,
    pub(super) at: Millis,
    pub(super) account: Arc<str>,
    pub(super) run: Arc<str>,
    pub(super) request: SavedRequest,
    pub(super) hook: Bytes,
}

impl Intent {
    /// An intent with this client order id, made `at` a moment of the calendar.
    pub fn new(id: impl Into<Arc<str>>, kind: Operation, at: SystemTime) -> Self {
        Self {
            id: id.into(),
            kind,
            at: Millis::of(at),
            account: Arc::default(),
            run: Arc::default(),
            request: SavedRequest::default(),
            hook: Bytes::new(),
        }
    }

    /// Sets the provider and account that the request goes to.
    #[must_use]
    pub fn account(mut self, account: impl Into<Arc<str>>) -> Self {
        self.account = account.into();
        self
    }

    /// Sets the run of the program that makes the request.
    #[must_use]
    pub fn run(mut self, run: impl Into<Arc<str>>) -> Self {
        self.run = run.into();
        self
    }

    /// Sets the request.
    #[must_use]
    pub fn request(mut self, request: SavedRequest) -> Self {
        self.request = request;
        self
    }

    /// Sets data of the program's own, for what pays attention to this order after a restart.
    #[must_use]
    pub fn hook(mut self, hook: impl Into<Bytes>) -> Self {
        self.hook = hook.into();
        self
    }

    /// The client order id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the request does.
    pub fn kind(&self) -> Operation {
        self.kind
    }

    /// When it was made, to the millisecond.
    pub fn at(&self) -> SystemTime {
        self.at.time()
    }

    /// The provider and account; empty if not set.
    pub fn account_name(&self) -> &str {
        &self.account
    }

    /// The run of the program; empty if not set.
    pub fn run_name(&self) -> &str {
        &self.run
    }

    /// The request.
    pub fn saved_request(&self) -> &SavedRequest {
        &self.request
    }

    /// The program's own data; empty if not set.
    pub fn hook_data(&self) -> &[u8] {
        &self.hook
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        check_name("id", &self.id)?;
        for (field, value) in [("account", &self.account), ("run", &self.run)] {
            if !value.is_empty() {
                check_name(field, value)?;
            }
        }
        check_data("request", self.request.len())?;
        check_data("hook", self.hook.len())
    }
}

/// Rejects a name that says nothing, or that is longer than a record takes.
pub(crate) fn check_name(field: &'static str, value: &str) -> Result<(), InvalidConfig> {
    let found = match value.len() {
        0 => "empty".to_owned(),
        1..=MAX_NAME => return Ok(()),
        len => format!("{len} bytes long"),
    };
    Err(InvalidConfig::new(field, found, "1 to 255 bytes"))
}

/// Rejects what would make one record fill the disk.
pub(super) fn check_data(field: &'static str, len: usize) -> Result<(), InvalidConfig> {
    if len > MAX_DATA {
        let value = format!("{len} bytes long");
        return Err(InvalidConfig::new(field, value, "at most 16 MiB"));
    }
    Ok(())
}

/// Milliseconds of the calendar since 1970; what is before counts as 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) u64);

impl Millis {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment; one that the platform's calendar does not reach is 1970.
    pub(super) fn time(self) -> SystemTime {
        let since = Duration::from_millis(self.0);
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }
}
