//! Reads lists to their ends.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use seawall_core::state_words;

use super::config::ListsConfig;
use crate::broker::{Broker, BrokerPosition, FoundOrder, Listed};
use crate::client::RequestSender;
use crate::protocol::Query;

state_words! {
    /// A list of the broker.
    pub enum ListName {
        /// Open orders.
        Open = "open",
        /// Closed orders.
        Closed = "closed",
        /// Fills.
        Fills = "fills",
        /// Positions.
        Positions = "positions",
    }
}

/// Why a list was not read to its end.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListErrorKind {
    /// The broker has no such list, and it is needed.
    Missing,
    /// A request failed, with this message.
    Client(String),
    /// A response did not come in time.
    Timeout,
    /// A response cannot be read, in these words.
    Unreadable(&'static str),
    /// Our own view could not be had, for this reason.
    Own(String),
    /// There are more pages than are read.
    TooLong {
        /// How many were read.
        pages: u32,
    },
}

/// A list that was not read to its end: nothing is known of what differs.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    /// The list.
    pub list: ListName,
    /// Why.
    pub kind: ListErrorKind,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker's list `{}`: ", self.list.as_str())?;
        match &self.kind {
            ListErrorKind::Missing => f.write_str("there is none"),
            ListErrorKind::Client(message) => write!(f, "a request failed: {message}"),
            ListErrorKind::Timeout => f.write_str("a response did not come in time"),
            ListErrorKind::Unreadable(words) => write!(f, "a response cannot be read: {words}"),
            ListErrorKind::Own(message) => write!(f, "our own view is missing: {message}"),
            ListErrorKind::TooLong { pages } => write!(f, "it has more than {pages} pages"),
        }
    }
}

impl StdError for ListError {}

/// How lists are read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    broker: &'a dyn Broker,
    client: &'a RequestSender,
    account: Option<&'a str>,
    max_pages: u32,
    timeout: Duration,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(
        broker: &'a dyn Broker,
        client: &'a RequestSender,
        account: Option<&'a str>,
        config: &ListsConfig,
    ) -> Self {
        Self {
            broker,
            client,
            account,
            max_pages: config.max_pages(),
            timeout: config.page_timeout(),
        }
    }

    /// A list of orders; `None` if the broker has no such list.
    pub(super) async fn orders(&self, query: Query) -> Result<Option<Vec<FoundOrder>>, ListError> {
        let list = match query {
            Query::Closed => ListName::Closed,
            Query::Fills => ListName::Fills,
            _ => ListName::Open,
        };
        let Some(request) = self.broker.list(query, self.account) else {
            return Ok(None);
        };
        let read = |response: &Response<Bytes>| self.broker.listed(query, self.account, response);
        self.pages(list, request, read).await.map(Some)
    }

    pub(super) async fn positions(&self) -> Result<Option<Vec<BrokerPosition>>, ListError> {
        let Some(request) = self.broker.positions(self.account) else {
            return Ok(None);
        };
        let read =
            |response: &Response<Bytes>| self.broker.listed_positions(self.account, response);
        let positions = self.pages(ListName::Positions, request, read).await;
        positions.map(Some)
    }

    async fn pages<T>(
        &self,
        list: ListName,
        first: Request<Bytes>,
        read: impl Fn(&Response<Bytes>) -> Listed<T>,
    ) -> Result<Vec<T>, ListError> {
        let failed = |kind| ListError { list, kind };
        let (mut all, mut request) = (Vec::new(), first);
        for _ in 0..self.max_pages {
            let sending = tokio::time::timeout(self.timeout, self.client.send(request));
            let response = match sending.await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(failed(ListErrorKind::Client(error.to_string()))),
                Err(_) => return Err(failed(ListErrorKind::Timeout)),
            };
            match read(&response) {
                Listed::All(found) => {
                    all.extend(found);
                    return Ok(all);
                }
                Listed::Page(found, next) => {
                    all.extend(found);
                    request = next;
                }
                Listed::Failed(words) => return Err(failed(ListErrorKind::Unreadable(words))),
            }
        }
        let pages = self.max_pages;
        Err(failed(ListErrorKind::TooLong { pages }))
    }
}

/// Orders of several readings, each once.
#[derive(Default)]
pub(super) struct Orders {
    places: HashMap<Box<str>, usize>,
    pub(super) all: Vec<FoundOrder>,
}

impl Orders {
    /// Adds a later list: it knows better.
    pub(super) fn replace(&mut self, list: Vec<FoundOrder>) {
        for found in list {
            match self.places.get(&found.broker_id) {
                Some(place) => self.all[*place] = found,
                None => self.push(found),
            }
        }
    }

    /// Adds what is not there.
    pub(super) fn add(&mut self, list: Vec<FoundOrder>) {
        for found in list {
            if !self.places.contains_key(&found.broker_id) {
                self.push(found);
            }
        }
    }

    fn push(&mut self, found: FoundOrder) {
        self.places.insert(found.broker_id.clone(), self.all.len());
        self.all.push(found);
    }
}
