//! What sorts of faults there are.

use seawall_core::InvalidConfig;

seawall_core::state_words! {
    /// What sort of fault it is; see the constructors of [`Fault`](crate::Fault).
    pub enum FaultKind {
        /// The response is held back for a time.
        Delay = "delay",
        /// The response is held back until the fault ends.
        Hang = "hang",
        /// An error before the request was sent.
        ErrorBeforeSending = "error_before_sending",
        /// The request is sent, and its response lost.
        LostResponse = "lost_response",
        /// The connection is refused: nothing was sent.
        RefusedConnection = "refused_connection",
        /// A response of a status, with headers.
        Status = "status",
        /// The body ends too early.
        TruncatedBody = "truncated_body",
        /// The body has other bytes.
        CorruptedBody = "corrupted_body",
        /// The body comes slowly.
        SlowBody = "slow_body",
        /// An earlier response to the same request.
        StaleResponse = "stale_response",
        /// The request is sent twice.
        DuplicatedRequest = "duplicated_request",
        /// The timestamps of the response are off.
        ClockSkew = "clock_skew",
    }
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Delay,
        Self::Hang,
        Self::ErrorBeforeSending,
        Self::LostResponse,
        Self::RefusedConnection,
        Self::Status,
        Self::TruncatedBody,
        Self::CorruptedBody,
        Self::SlowBody,
        Self::StaleResponse,
        Self::DuplicatedRequest,
        Self::ClockSkew,
    ];

    /// The kind of that [word](Self::as_str).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the field `kind` when no kind has that word.
    ///
    /// ```
    /// use seawall_chaos::FaultKind;
    ///
    /// assert_eq!(FaultKind::from_word("hang")?, FaultKind::Hang);
    /// assert!(FaultKind::from_word("earthquake").unwrap_err().accepted().contains("`hang`"));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn from_word(word: &str) -> Result<Self, InvalidConfig> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(|kind| format!("`{}`", kind.as_str()));
            InvalidConfig::new(
                "kind",
                format!("`{word}`"),
                format!("one of {}", words.join(", ")),
            )
        })
    }

    /// Whether the fault stands in place of the call, which is then not made.
    pub const fn replaces_call(self) -> bool {
        matches!(
            self,
            Self::ErrorBeforeSending | Self::RefusedConnection | Self::Status | Self::StaleResponse
        )
    }

    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}
