//! An entry as the journal in memory keeps it.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::Fate;
use super::intent::Millis;
use super::{Entry, Intent, SavedRequest};
use crate::Operation;
use crate::records::Record;

/// How many bytes of texts an entry has room for in place: those of most orders.
const IN_PLACE: usize = 256;
/// How many texts there are: the id, the four of the request, the hook.
const TEXTS: usize = 6;

/// An entry. The texts of the intent are copied, one after the other: so nothing of the request, whose
/// memory may be part of something larger, is held by entries that are kept for long.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) seq: u64,
    pub(super) fate: Fate,
    kind: Operation,
    at: Millis,
    account: Arc<str>,
    run: Arc<str>,
    /// Where each text ends.
    ends: [usize; TEXTS],
    in_place: [u8; IN_PLACE],
    /// All texts where they are longer than that.
    long: Bytes,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            seq: 0,
            fate: Fate::new(Millis::default()),
            kind: Operation::Create,
            at: Millis::default(),
            account: Arc::default(),
            run: Arc::default(),
            ends: [0; TEXTS],
            in_place: [0; IN_PLACE],
            long: Bytes::new(),
        }
    }
}

impl Kept {
    /// Makes it the entry of an intent that nothing has become of.
    pub(super) fn begin(&mut self, seq: u64, intent: Intent, sent: bool) {
        let Intent {
            id,
            kind,
            at,
            account,
            run,
            request,
            hook,
        } = intent;
        (self.seq, self.kind, self.at) = (seq, kind, at);
        (self.account, self.run) = (account, run);
        let texts: [&[u8]; TEXTS] = [
            id.as_bytes(),
            &request.method,
            &request.target,
            &request.headers,
            &request.body,
            &hook,
        ];
        let mut end = 0;
        for (text, ends) in texts.iter().zip(&mut self.ends) {
            end += text.len();
            *ends = end;
        }
        match self.in_place.get_mut(..end) {
            Some(mut room) => {
                for text in texts {
                    let (here, rest) = room.split_at_mut(text.len());
                    here.copy_from_slice(text);
                    room = rest;
                }
            }
            None => self.long = texts.concat().into(),
        }
        self.fate.begin(at);
        if sent {
            self.fate.send(at);
        }
    }

    /// The entry, with texts of its own.
    pub(super) fn entry(&self) -> Entry {
        let texts = match self.long.is_empty() {
            true => Bytes::copy_from_slice(self.texts()),
            false => self.long.clone(),
        };
        let mut start = 0;
        let [_, method, target, headers, body, hook] = self.ends.map(|end| {
            let text = texts.slice(start..end);
            start = end;
            text
        });
        let intent = Intent {
            id: String::from_utf8_lossy(self.id()).into(),
            kind: self.kind,
            at: self.at,
            account: Arc::clone(&self.account),
            run: Arc::clone(&self.run),
            request: SavedRequest {
                method,
                target,
                headers,
                body,
            },
            hook,
        };
        Entry {
            seq: self.seq,
            intent,
            fate: self.fate.clone(),
        }
    }

    fn texts(&self) -> &[u8] {
        match self.long.is_empty() {
            true => &self.in_place[..self.ends[TEXTS - 1].min(IN_PLACE)],
            false => &self.long,
        }
    }
}

impl Record for Kept {
    fn id(&self) -> &[u8] {
        self.texts().get(..self.ends[0]).unwrap_or_default()
    }

    fn clear(&mut self) {
        if !self.long.is_empty() {
            self.long = Bytes::new();
        }
        self.fate.forget_texts();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn intent(id: &str, body: usize) -> Intent {
        let request = SavedRequest::new("POST", "/v2/orders")
            .header("content-type", b"application/json")
            .body(vec![b'x'; body]);
        Intent::new(id, Operation::Replace, SystemTime::now())
            .account("alpaca/paper")
            .run("run")
            .request(request)
            .hook("hook")
    }

    #[test]
    fn what_is_kept_is_given_back() {
        let mut kept = Kept::default();
        // Long and short ones in turn, in the same memory.
        for (seq, body) in (0..).zip([0, 10, 100, 180, 181, 190, 200, 10_000, 1, 256, 0]) {
            for sent in [false, true] {
                let intent = intent(&format!("order-{seq}"), body);
                kept.begin(seq, intent.clone(), sent);
                let entry = kept.entry();
                assert_eq!((entry.seq(), entry.intent()), (seq, &intent));
                assert_eq!(entry.attempts(), u32::from(sent));
                assert_eq!(entry.steps_total(), 1 + u32::from(sent));
                assert_eq!(kept.id(), intent.id().as_bytes());
                kept.clear();
            }
        }
    }
}
