//! A status, headers and a body, without a protocol.

use seawall_core::InvalidConfig;

/// A response with an error status, as an upstream or what stands before it would send.
///
/// ```
/// use seawall_chaos::{Fault, StatusResponse};
///
/// let throttled = StatusResponse::new(429)?.header("retry-after", "2")?.body("slow down");
/// let fault = Fault::status(throttled).with_intensity(0.2)?;
/// # let _ = fault;
/// assert!(StatusResponse::new(200).is_err(), "that is no fault");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl StatusResponse {
    /// A response of that status, with no headers and an empty body.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `status` is not from 400 to 599.
    pub fn new(status: u16) -> Result<Self, InvalidConfig> {
        if !(400..=599).contains(&status) {
            let accepted = "an error status from 400 to 599";
            return Err(InvalidConfig::new("status", status, accepted));
        }
        Ok(Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        })
    }

    /// Adds a header.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the name is no token of RFC 9110, or the value has other characters than
    /// visible ASCII, spaces and tabs.
    pub fn header(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, InvalidConfig> {
        let (name, value) = (name.into(), value.into());
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            let accepted = "the name of a header";
            return Err(InvalidConfig::new("header", format!("{name:?}"), accepted));
        }
        let is_text = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
        if !value.chars().all(is_text) {
            let accepted = "visible ASCII, spaces and tabs";
            let field = format!("header.{name}");
            return Err(InvalidConfig::new(field, format!("{value:?}"), accepted));
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    seawall_core::getters! {
        /// The status, from 400 to 599.
        pub const fn status -> u16;
    }

    /// The headers, in the order in which they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.headers.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body.
    pub fn body_text(&self) -> &str {
        &self.body
    }
}
