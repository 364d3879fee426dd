//! Tokens of AI models: what a request is expected to use, and what it has used.

use seawall_core::{QuotaSignal, TokenCount, Unit};

/// The most tokens that one response is believed to have used: a hundred million, some ten times
/// the longest context of any model. A larger number is a slip of the upstream, and would put a limit
/// into debt for years.
pub const LARGEST_USAGE: u64 = 100_000_000;

/// The tokens that a response of an AI model has used, as far as they count against a limit.
///
/// In the extensions of a response it is read by [`HttpFeedback`](super::HttpFeedback). With
/// the feature `usage` it is read from bodies: by `usage_of` from a whole one, by `UsageReader`
/// and `MeteredBody` from one that is streamed, by `InspectLayer::with_usage` into the
/// extensions.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Read by the model. With Anthropic those that were written to its cache are among them,
    /// and those that were read from it are not, since they count against no limit there
    /// (<https://platform.claude.com/docs/en/api/rate-limits>); with OpenAI all are.
    pub input_tokens: u64,
    /// Written by the model, its reasoning included.
    pub output_tokens: u64,
    /// Those of the input that were read from a cache, and are billed for less: OpenAI's.
    pub cached_tokens: u64,
    /// Read from a cache, and not among the input: Anthropic's.
    pub cached_beside_input: u64,
    /// Those of the input that were written to a cache, and are billed for more: Anthropic's.
    pub cache_write_tokens: u64,
}

impl Usage {
    /// So many tokens read and so many written.
    pub const fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            cached_tokens: 0,
            cached_beside_input: 0,
            cache_write_tokens: 0,
        }
    }

    /// Both together; saturates.
    pub const fn total(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The signals for a rate limit: how much was spent of tokens, of input tokens and of output
    /// tokens, each at most [`LARGEST_USAGE`]. A limit applies those of the unit that it counts.
    ///
    /// ```
    /// use seawall_core::{QuotaSignal, Unit};
    /// use seawall_http::quota::Usage;
    ///
    /// let [tokens, ..] = Usage::new(1_200, 300).signals();
    /// assert_eq!(tokens, QuotaSignal::Used { unit: Unit::Tokens, amount: 1_500 });
    /// ```
    pub fn signals(self) -> [QuotaSignal; 3] {
        self.units()
            .map(|(unit, amount)| QuotaSignal::Used { unit, amount })
    }

    /// How much was spent of tokens, of input tokens and of output tokens, each at most
    /// [`LARGEST_USAGE`]: for a [`LateUsage`](seawall_core::LateUsage), or a reservation of a rate limit.
    pub const fn units(self) -> [(Unit, u64); 3] {
        [
            used(Unit::Tokens, self.total()),
            used(Unit::InputTokens, self.input_tokens),
            used(Unit::OutputTokens, self.output_tokens),
        ]
    }
}

/// The most that the response to a request can have used; a value in the extensions of the response, from
/// a layer that knows the request.
///
/// [`InspectLayer::with_usage`](crate::inspect::InspectLayer) applies it: what a body reports beyond is
/// bounded, and then the report itself is in the extensions, too, as [`ReportedUsage`].
///
/// ```
/// use seawall_http::quota::{Usage, UsageBound};
///
/// let bound = UsageBound::new(8_000, 500);
/// assert_eq!(bound.apply(Usage::new(1_000, 200)), Some(Usage::new(1_000, 200)));
/// assert_eq!(bound.apply(Usage::new(u64::MAX, 501)), Some(Usage::new(8_000, 500)));
/// assert_eq!(bound.apply(Usage::new(0, 0)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsageBound {
    input: u64,
    output: u64,
}

impl UsageBound {
    /// At most so many tokens read, those of a cache that are counted beside them too, and at most so
    /// many written.
    pub const fn new(input: u64, output: u64) -> Self {
        Self { input, output }
    }

    /// What is believed of a usage; `None` for one that says that nothing was read or written, since
    /// there was a response.
    pub fn apply(self, mut usage: Usage) -> Option<Usage> {
        if usage.total() == 0 && usage.cached_beside_input == 0 {
            return None;
        }
        for tokens in [
            &mut usage.input_tokens,
            &mut usage.cached_tokens,
            &mut usage.cached_beside_input,
            &mut usage.cache_write_tokens,
        ] {
            *tokens = self.input.min(*tokens);
        }
        usage.output_tokens = self.output.min(usage.output_tokens);
        Some(usage)
    }
}

/// What a response has reported, where a [`UsageBound`] allowed only less of it; a value in its
/// extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReportedUsage(pub Usage);

const fn used(unit: Unit, amount: u64) -> (Unit, u64) {
    if amount > LARGEST_USAGE {
        (unit, LARGEST_USAGE)
    } else {
        (unit, amount)
    }
}

/// How many tokens a request is expected to use; a value in its extensions that
/// [`Routes`](crate::Routes) reads.
///
/// The input is estimated from the length of the prompt, see [`estimate_tokens`]; the output is
/// the request's own `max_tokens`, or what such a response is known to take.
///
/// ```
/// use http::Request;
/// use seawall_core::{Describe, TokenCount};
/// use seawall_http::Routes;
/// use seawall_http::quota::{TokenEstimate, estimate_tokens};
///
/// let prompt = "Write something nice.";
/// let mut request = Request::post("/v1/messages").body(prompt).unwrap();
/// let tokens = TokenCount::new(estimate_tokens(prompt.len()), 256);
/// request.extensions_mut().insert(TokenEstimate(tokens));
/// assert_eq!(Routes::new().describe(&request).tokens, tokens);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenEstimate(pub TokenCount);

/// How many tokens a text of so many bytes has, roughly: one per four bytes, rounded up.
///
/// It is OpenAI's rule of thumb for English, where a character is a byte
/// (<https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them>). Code and
/// numbers take more, up to twice as many. Other scripts take more tokens per character, and more
/// bytes, so that the error is smaller than it would be by characters. It is a first estimate, to be
/// corrected by what the response reports: [`Usage`].
///
/// ```
/// use seawall_http::quota::estimate_tokens;
///
/// assert_eq!(estimate_tokens(0), 0);
/// assert_eq!(estimate_tokens(10), 3);
/// ```
pub fn estimate_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
}
