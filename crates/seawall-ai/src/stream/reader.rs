//! The pure core: reads a stream in pieces, and finds what it means.

use bytes::Bytes;
use seawall_http::sse::{SseEventRef, SseParser};

use super::dialect::{Dialect, Meaning, meaning};
use super::skim::{Choices, Skim, has_payload};

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The final event has not come.
    Open,
    /// It has; more may follow, as the usage of tokens follows the reason to finish.
    Soft,
    /// It has, and nothing follows.
    Final,
}

/// What is wrong with a stream, found in its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It reports an error, in this event.
    Reported(String),
    /// An event is no JSON.
    Malformed,
    /// An event is longer than it may be.
    EventTooLong,
}

/// What a piece has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// How many of its bytes come before what is wrong.
    pub(super) good: usize,
    /// Whether there was content or a step.
    pub(super) has_progress: bool,
    pub(super) fault: Option<Fault>,
}

#[derive(Debug)]
pub(super) struct StreamReader {
    parser: SseParser,
    dialect: Dialect,
    /// Whether the dialect is what the events show.
    detects: bool,
    events: u64,
    contents: u64,
    /// The choices of a chat that were seen and those that have finished.
    choices: Choices,
    end: End,
}

impl StreamReader {
    /// A reader of events of at most `max_event` bytes.
    pub(super) fn new(dialect: Dialect, max_event: usize) -> Self {
        Self {
            parser: SseParser::new(max_event),
            dialect,
            detects: dialect == Dialect::Detect,
            events: 0,
            contents: 0,
            choices: Choices::default(),
            end: End::Open,
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How many events there were.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// How many of them had content.
    pub(super) const fn contents(&self) -> u64 {
        self.contents
    }

    pub(super) const fn end(&self) -> End {
        self.end
    }

    /// Whether all of the stream has come, whatever happens to its connection.
    pub(super) const fn is_complete(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Whether a stream may end here.
    pub(super) const fn may_end(&self) -> bool {
        let may_end_anywhere = matches!(self.dialect, Dialect::Other) && self.events > 0;
        self.is_complete() || may_end_anywhere
    }

    /// Reads the next piece.
    pub(super) fn push(&mut self, data: &Bytes) -> Piece {
        let mut piece = Piece::default();
        let mut rest = data.clone();
        // What follows the final event is passed on as it is.
        while self.end != End::Final {
            let event = match self.parser.next(&mut rest) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => {
                    piece.fault = Some(Fault::EventTooLong);
                    return piece;
                }
            };
            self.events += 1;
            let unknown = matches!(self.dialect, Dialect::Detect | Dialect::Other);
            let detect = self.detects && unknown;
            let found = match read(&mut self.dialect, detect, &mut self.choices, event) {
                Ok(found) => found,
                Err(fault) => {
                    piece.fault = Some(fault);
                    return piece;
                }
            };
            // A stream of nothing but its end has nothing in it. A choice that begins late
            // takes back that all have finished.
            let says_nothing = self.events == 1 && self.dialect == Dialect::OpenAiChat;
            self.end = match found.end {
                Some(End::Final) if says_nothing => End::Open,
                Some(end) => end,
                None => self.end,
            };
            self.contents += u64::from(found.has_content);
            piece.has_progress |= found.has_content || found.is_step;
            piece.good = data.len() - rest.len();
        }
        piece.good = data.len();
        piece
    }
}

/// What one event is.
struct Found {
    has_content: bool,
    is_step: bool,
    /// Where the event says that.
    end: Option<End>,
}

impl Found {
    fn of(meaning: Meaning) -> Self {
        Self {
            has_content: meaning == Meaning::Content,
            is_step: meaning == Meaning::Step,
            end: (meaning == Meaning::Final).then_some(End::Final),
        }
    }
}

fn read(
    dialect: &mut Dialect,
    detect: bool,
    choices: &mut Choices,
    event: SseEventRef<'_>,
) -> Result<Found, Fault> {
    let reported = || Fault::Reported(event.data.to_owned());
    if event.data.trim() == "[DONE]" {
        if detect {
            *dialect = Dialect::OpenAiChat;
        }
        return Ok(Found::of(Meaning::Final));
    }
    if event.event == "error" {
        return Err(reported());
    }
    let Some(skim) = Skim::read(event.data) else {
        let may_be = *dialect == Dialect::Other;
        return may_be
            .then(|| Found::of(Meaning::Content))
            .ok_or(Fault::Malformed);
    };
    if skim.error.is_full() || skim.event_type == "error" {
        return Err(reported());
    }
    if detect {
        let shown = Dialect::of(&skim);
        if shown != Dialect::Other || has_payload(event.data) {
            *dialect = shown;
        }
    }
    if let (Dialect::OpenAiChat, Some(chunk)) = (*dialect, skim.choices) {
        choices.seen |= chunk.seen;
        choices.finished |= chunk.finished;
        let has_finished = choices.finished != 0 && choices.seen & !choices.finished == 0;
        let end = if has_finished { End::Soft } else { End::Open };
        return Ok(Found {
            has_content: chunk.has_content,
            is_step: chunk.finished != 0,
            end: Some(end),
        });
    }
    match meaning(*dialect, &skim) {
        Meaning::Error => Err(reported()),
        meaning => Ok(Found::of(meaning)),
    }
}
