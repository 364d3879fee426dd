//! One page of a reading.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::Response;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::asked::Asked;
use crate::broker::{FoundOrder, Listed};

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layer) enum Missed {
    /// A layer rejected it before it left.
    NotMade,
    Failed(&'static str),
}

impl From<&'static str> for Missed {
    fn from(why: &'static str) -> Self {
        Self::Failed(why)
    }
}

pub(in crate::layer) type Answer = Result<Response<Bytes>, Missed>;

/// A page, with those after it. Each part keeps the page that it reads: those that all are past are gone.
pub(super) struct Page {
    asked: Arc<Asked>,
    /// Until when it is waited for, since it was first asked for.
    pub(super) until: OnceLock<Instant>,
    pub(super) answer: OnceCell<Answer>,
    /// What it lists, where that is the same for all parts.
    pub(super) listed: OnceCell<Option<Listed<FoundOrder>>>,
    /// One, unless parts go on in different ways.
    next: Mutex<Vec<Arc<Self>>>,
}

impl Page {
    pub(super) fn of(asked: Arc<Asked>) -> Self {
        Self {
            asked,
            until: OnceLock::new(),
            answer: OnceCell::new(),
            listed: OnceCell::new(),
            next: Mutex::default(),
        }
    }

    /// The page after this one that is asked for. What was sent after another page is none, although it may be
    /// the same: it can be too old.
    pub(super) fn next(&self, asked: Asked) -> Arc<Self> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = next.iter().find(|page| *page.asked == asked) {
            return Arc::clone(page);
        }
        let page = Arc::new(Self::of(Arc::new(asked)));
        next.push(Arc::clone(&page));
        page
    }

    fn take_next(&mut self) -> Vec<Arc<Self>> {
        let next = self.next.get_mut();
        std::mem::take(next.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Page {
    /// One after the other: thousands of pages that drop each other need more stack than there is.
    fn drop(&mut self) {
        let mut pages = self.take_next();
        while let Some(page) = pages.pop() {
            if let Some(mut page) = Arc::into_inner(page) {
                pages.append(&mut page.take_next());
            }
        }
    }
}
