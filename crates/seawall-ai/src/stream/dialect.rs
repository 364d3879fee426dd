//! What the events of a stream mean, in each dialect.

use super::skim::Skim;

/// By which rules a stream is read.
///
/// | dialect | content | the final event |
/// |---|---|---|
/// | [`OpenAiChat`](Self::OpenAiChat) | text in `choices[].delta`, its `role` excepted, or in `choices[].text` | `[DONE]`, or a `finish_reason` of every choice that has begun: how many were asked for is not known |
/// | [`OpenAiResponses`](Self::OpenAiResponses) | `response.*.delta` that is not empty, `response.*.partial_image` | `response.completed`, `response.incomplete` |
/// | [`AnthropicMessages`](Self::AnthropicMessages) | `content_block_delta` that is not empty, `content_block_start` of a block that has something in it | `message_stop` |
/// | [`Other`](Self::Other) | every event | none: the stream may end anywhere |
///
/// In every dialect an event with an `error`, of the name or of the type `error`, and
/// `response.failed` report an error, and comments are nothing. The other events of a dialect are no
/// content. Those that come once for a step that was done (`response.*.done`,
/// `response.web_search_call.searching`, `content_block_stop`, `message_delta`) show that the stream
/// goes on: they count for the time between contents, and not for the time to the first one.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// What the first event shows that one of the dialects knows. One that none knows makes the stream
    /// one of [`Other`](Self::Other) until then, if there is more in it than members such as `id`,
    /// `object` and `model`; a stream of nothing else has not ended well.
    #[default]
    Detect,
    /// Chunks of OpenAI's chat completions, of the older completions, and of compatible servers.
    OpenAiChat,
    /// The events of OpenAI's responses.
    OpenAiResponses,
    /// The events of Anthropic's messages.
    AnthropicMessages,
    /// Events that nothing is known of.
    Other,
}

impl Dialect {
    /// The dialect as a word of settings and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::Other => "other",
        }
    }

    /// The event that ends a stream, in words.
    pub(super) const fn final_event(self) -> &'static str {
        match self {
            Self::OpenAiChat => "`[DONE]` or a `finish_reason`",
            Self::OpenAiResponses => "`response.completed` or `response.incomplete`",
            Self::AnthropicMessages => "`message_stop`",
            Self::Detect => "an event that shows a dialect",
            Self::Other => "an event",
        }
    }

    /// The dialect whose event this is.
    pub(super) fn of(event: &Skim<'_>) -> Self {
        let event_type = &*event.event_type;
        if event.choices.is_some() || event.object.0 {
            Self::OpenAiChat
        } else if event_type.starts_with("response.") {
            Self::OpenAiResponses
        } else if matches!(event_type, "ping" | "message_start" | "message_stop")
            || event_type.starts_with("content_block_")
        {
            Self::AnthropicMessages
        } else {
            Self::Other
        }
    }
}

/// What an event means for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It keeps the connection open, or begins what has nothing in it yet.
    Nothing,
    /// A step that was done.
    Step,
    /// What the caller has asked for.
    Content,
    /// The last event that counts.
    Final,
    /// An error.
    Error,
}

/// What an event of JSON means, but for the choices of a chat.
pub(super) fn meaning(dialect: Dialect, event: &Skim<'_>) -> Meaning {
    let event_type = &*event.event_type;
    match dialect {
        Dialect::OpenAiChat => Meaning::Nothing,
        Dialect::OpenAiResponses => match event_type {
            "response.created" | "response.in_progress" | "response.queued" => Meaning::Nothing,
            "response.completed" | "response.incomplete" => Meaning::Final,
            "response.failed" => Meaning::Error,
            _ if event_type.ends_with(".partial_image") => Meaning::Content,
            _ if event_type.ends_with(".delta") && event.delta.is_full() => Meaning::Content,
            _ if event_type.ends_with(".delta") => Meaning::Nothing,
            _ if event_type.starts_with("response.") => Meaning::Step,
            _ => Meaning::Nothing,
        },
        Dialect::AnthropicMessages => match event_type {
            "content_block_delta" if event.delta.is_full() => Meaning::Content,
            "content_block_start" if event.content_block.is_full() => Meaning::Content,
            "content_block_stop" | "message_delta" => Meaning::Step,
            "message_stop" => Meaning::Final,
            _ => Meaning::Nothing,
        },
        Dialect::Detect => Meaning::Nothing,
        Dialect::Other => Meaning::Content,
    }
}
