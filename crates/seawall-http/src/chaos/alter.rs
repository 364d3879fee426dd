//! What is done to the frames of a body.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use seawall_chaos::{Alteration, InjectedError, ResponseFault, Waiting};

/// The changes of one body. What was done shows in the counts.
#[derive(Debug)]
pub(super) struct Changes {
    slow: Vec<Alteration>,
    corrupt: Vec<Alteration>,
    truncate: Option<Alteration>,
    /// What is passed on when the waits are over.
    held: Option<Frame<Bytes>>,
    waits: VecDeque<Waiting>,
    /// The body breaks off behind what is held.
    cut: Option<InjectedError>,
    /// Whether there was data.
    has_data: bool,
}

impl Changes {
    pub(super) fn new(alterations: Vec<Alteration>) -> Self {
        let mut changes = Self {
            slow: Vec::new(),
            corrupt: Vec::new(),
            truncate: None,
            held: None,
            waits: VecDeque::new(),
            cut: None,
            has_data: false,
        };
        for alteration in alterations {
            match alteration.fault() {
                ResponseFault::SlowBody => changes.slow.push(alteration),
                ResponseFault::CorruptedBody => changes.corrupt.push(alteration),
                // A body breaks off once.
                ResponseFault::TruncatedBody => {
                    changes.truncate.get_or_insert(alteration);
                }
                _ => {}
            }
        }
        changes
    }

    /// Takes in a frame of the body; `is_last` when it is known to be the last one.
    pub(super) fn put(&mut self, frame: Frame<Bytes>, is_last: bool) {
        let data = match frame.into_data() {
            Ok(data) if !data.is_empty() => data,
            Ok(empty) => {
                self.held = Some(Frame::data(empty));
                return;
            }
            Err(trailers) => {
                self.held = Some(trailers);
                return;
            }
        };
        for slow in &mut self.slow {
            if !slow.is_over() {
                slow.happened();
                self.waits.push_back(slow.wait());
            }
        }
        let data = self.corrupt(data);
        self.held = Some(Frame::data(self.truncate(data, is_last)));
        self.has_data = true;
    }

    fn corrupt(&mut self, data: Bytes) -> Bytes {
        let mut corrupted = None;
        // Each of them changes one byte of the first piece.
        for mut corrupt in self.corrupt.drain(..).filter(|fault| !fault.is_over()) {
            let data = corrupted.get_or_insert_with(|| BytesMut::from(&data[..]));
            let at = (corrupt.bits() % data.len() as u64) as usize;
            // Not zero, so that the byte is another one; two faults may still undo each other.
            data[at] ^= (corrupt.bits() % 255) as u8 + 1;
            corrupt.happened();
        }
        corrupted.map_or(data, BytesMut::freeze)
    }

    fn truncate(&mut self, data: Bytes, is_last: bool) -> Bytes {
        let Some(truncate) = &mut self.truncate else {
            return data;
        };
        // Somewhere: in half of the pieces, at the latest in the last one.
        let is_here = truncate.bits().is_multiple_of(2) || is_last;
        if !is_here || truncate.is_over() {
            return data;
        }
        let left = (truncate.bits() % data.len() as u64) as usize;
        self.break_off();
        data.slice(..left)
    }

    /// The body has come to its end: whether it breaks off there.
    pub(super) fn end(&mut self) {
        // Of no data nothing can be missing.
        if self.has_data && self.truncate.as_ref().is_some_and(|fault| !fault.is_over()) {
            self.break_off();
        }
    }

    fn break_off(&mut self) {
        if let Some(mut truncate) = self.truncate.take() {
            truncate.happened();
            self.cut = Some(truncate.error());
        }
    }

    /// What is to be passed on now: `None` when another frame has to be taken in.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        while let Some(wait) = self.waits.front_mut() {
            ready!(Pin::new(wait).poll(cx));
            self.waits.pop_front();
        }
        Poll::Ready(self.held.take())
    }

    /// The error with which the body breaks off, once all before it is passed on.
    pub(super) const fn take_cut(&mut self) -> Option<InjectedError> {
        self.cut.take()
    }
}
