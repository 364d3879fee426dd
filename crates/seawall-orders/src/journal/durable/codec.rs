//! Entries as bytes, each with a checksum of its own.
//!
//! `version, payload, crc32`; the checksum covers the entry's number as well, so that a record that
//! lands under another key is found. Numbers are little-endian, texts have their length in front.

use std::sync::Arc;

use bytes::Bytes;

use crate::Operation;
use crate::journal::entry::{Entry, Fate, KEPT_STEPS, Step, Steps};
use crate::journal::intent::{Intent, Millis};
use crate::journal::{SavedRequest, State};

const RECORD: u8 = 1;
const CRC: usize = 4;

/// The record of an entry.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let intent = &entry.intent;
    let request = &intent.request;
    let mut out = Vec::with_capacity(256 + request.len() + intent.hook.len());
    out.push(RECORD);
    out.push(state_code(entry.fate.state));
    out.push(kind_code(intent.kind));
    out.extend_from_slice(&entry.fate.attempts.to_le_bytes());
    out.extend_from_slice(&intent.at.0.to_le_bytes());
    out.extend_from_slice(&entry.fate.steps.total.to_le_bytes());
    for step in entry.fate.steps.as_slice() {
        out.push(state_code(step.state));
        out.extend_from_slice(&step.at.0.to_le_bytes());
        out.extend_from_slice(&step.attempt.to_le_bytes());
    }
    for bytes in [
        intent.id.as_bytes(),
        intent.account.as_bytes(),
        intent.run.as_bytes(),
        &request.method,
        &request.target,
        &request.headers,
        &request.body,
        &intent.hook,
        &entry.fate.broker_id,
        &entry.fate.details,
    ] {
        // Lengths are checked before an entry is made: at most 16 MiB.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    let crc = checksum(entry.seq, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The entry of a record, or what is wrong with it.
pub(super) fn decode(seq: u64, record: &[u8]) -> Result<Entry, String> {
    let Some((payload, crc)) = record.split_last_chunk::<CRC>() else {
        return Err(format!("record {seq} is {} bytes long", record.len()));
    };
    if u32::from_le_bytes(*crc) != checksum(seq, payload) {
        return Err(format!("the checksum of record {seq} does not match"));
    }
    let mut rest = Rest(payload);
    match rest.entry(seq) {
        Some(entry) if rest.0.is_empty() => Ok(entry),
        _ => Err(format!("record {seq} has a form that is not known")),
    }
}

fn checksum(seq: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&seq.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

fn state_code(state: State) -> u8 {
    match state {
        State::Intent => 0,
        State::Sent => 1,
        State::Confirmed => 2,
        State::Absent => 3,
        State::Rejected => 4,
        State::Abandoned => 5,
        State::Exhausted => 6,
    }
}

fn kind_code(kind: Operation) -> u8 {
    match kind {
        Operation::Create => 0,
        Operation::Replace => 1,
        Operation::Cancel => 2,
    }
}

/// What of a record has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn millis(&mut self) -> Option<Millis> {
        self.take().map(|bytes| Millis(u64::from_le_bytes(bytes)))
    }

    fn state(&mut self) -> Option<State> {
        let [code] = self.take()?;
        State::ALL
            .into_iter()
            .find(|state| state_code(*state) == code)
    }

    fn kind(&mut self) -> Option<Operation> {
        let [code] = self.take()?;
        [Operation::Create, Operation::Replace, Operation::Cancel]
            .into_iter()
            .find(|kind| kind_code(*kind) == code)
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        std::str::from_utf8(self.slice()?).ok().map(Arc::from)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        self.slice().map(Bytes::copy_from_slice)
    }

    fn step(&mut self) -> Option<Step> {
        Some(Step {
            state: self.state()?,
            at: self.millis()?,
            attempt: self.number()?,
        })
    }

    fn steps(&mut self) -> Option<Steps> {
        let total = self.number()?;
        let kept = usize::try_from(total).ok()?.min(KEPT_STEPS);
        let mut steps = Steps::new(self.step()?);
        for _ in 1..kept {
            steps.push(self.step()?);
        }
        steps.total = total;
        Some(steps)
    }

    fn entry(&mut self, seq: u64) -> Option<Entry> {
        let [RECORD] = self.take()? else { return None };
        let state = self.state()?;
        let kind = self.kind()?;
        let attempts = self.number()?;
        let at = self.millis()?;
        let steps = self.steps()?;
        let intent = Intent {
            id: self.text()?,
            kind,
            at,
            account: self.text()?,
            run: self.text()?,
            request: SavedRequest {
                method: self.bytes()?,
                target: self.bytes()?,
                headers: self.bytes()?,
                body: self.bytes()?,
            },
            hook: self.bytes()?,
        };
        Some(Entry {
            seq,
            intent,
            fate: Fate {
                state,
                attempts,
                broker_id: self.bytes()?,
                details: self.bytes()?,
                steps,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{decode, encode};
    use crate::Operation;
    use crate::journal::{Entry, Intent, Mark, SavedRequest};

    fn entry(resends: u32) -> Entry {
        let request = SavedRequest::new("POST", "/orders")
            .header("x", b"y")
            .body("{}");
        let intent = Intent::new("id", Operation::Replace, SystemTime::now())
            .account("broker/account")
            .run("run")
            .request(request)
            .hook("hook");
        let mut entry = Entry::new(7, intent, true);
        for attempt in 2..2 + resends {
            let mark = Mark::sent(SystemTime::now(), attempt);
            entry.apply(&mark).expect("a re-send");
        }
        let mark = Mark::confirmed(SystemTime::now(), "broker's id", "figures");
        entry.apply(&mark).expect("confirmed");
        entry
    }

    #[test]
    fn what_is_written_is_read() {
        for resends in [0, 1, 5, 6, 7, 40] {
            let entry = entry(resends);
            assert_eq!(decode(7, &encode(&entry)), Ok(entry));
        }
    }

    #[test]
    fn every_changed_bit_is_found() {
        let record = encode(&entry(1));
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(7, &changed).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert!(decode(7, &record[..len]).is_err(), "cut to {len}");
        }
        assert!(decode(8, &record).is_err(), "under another number");
    }
}
