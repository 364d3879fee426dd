//! Our own positions beside the broker's list.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, timeout};

use super::compare::Reading;
use super::config::ListsConfig;
use super::difference::OwnedDifference;
use super::read::{ListError, ListErrorKind, ListName, Reader};
use crate::broker::Broker;
use crate::client::{BoxError, RequestSender};
use crate::protocol::{self, Decimal, Position};

type Held = Vec<(Box<str>, Decimal)>;
type Reads = Pin<Box<dyn Future<Output = Result<Held, BoxError>> + Send>>;

/// What we hold by our own books: the quantity of each symbol, below zero for a short position.
///
/// Symbols are those of the broker's list, whose words differ: a contract's number at Interactive Brokers, an
/// asset at exchanges. A symbol without an entry counts as zero, and so does one that the broker does not
/// list. It is called at each comparison, after the broker's list was read.
///
/// ```
/// use std::collections::HashMap;
/// use seawall_orders::lists::OwnPositions;
/// use seawall_orders::protocol::Decimal;
///
/// let books = HashMap::from([("AAPL", Decimal::from(100))]);
/// let positions = OwnPositions::from_fn(move || books.clone()).without(["USD"]);
///
/// // Books that are kept elsewhere: an error is no empty list, and nothing is compared then.
/// let positions = OwnPositions::from_async_fn(|| async {
///     let row = std::fs::read_to_string("/books/AAPL")?;
///     Ok([("AAPL", row.trim().parse()?)])
/// });
/// # let _ = positions;
/// ```
#[derive(Clone)]
pub struct OwnPositions {
    read: Arc<dyn Fn() -> Reads + Send + Sync>,
    without: Arc<HashSet<Box<str>>>,
}

impl OwnPositions {
    /// Positions that are there at once.
    pub fn from_fn<P, S>(positions: impl Fn() -> P + Send + Sync + 'static) -> Self
    where
        P: IntoIterator<Item = (S, Decimal)>,
        S: Into<Box<str>>,
    {
        Self::reads(move || Box::pin(ready(Ok(held(positions())))))
    }

    /// Positions that are asked for, and that may fail.
    pub fn from_async_fn<F, P, S>(positions: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<P, BoxError>> + Send + 'static,
        P: IntoIterator<Item = (S, Decimal)>,
        S: Into<Box<str>>,
    {
        Self::reads(move || {
            let positions = positions();
            Box::pin(async move { positions.await.map(held) })
        })
    }

    fn reads(read: impl Fn() -> Reads + Send + Sync + 'static) -> Self {
        let (read, without) = (Arc::new(read), Arc::default());
        Self { read, without }
    }

    /// Leaves these symbols out on both sides, as the cash that the balances of an exchange have.
    #[must_use]
    pub fn without<S: Into<Box<str>>>(mut self, symbols: impl IntoIterator<Item = S>) -> Self {
        let symbols = symbols.into_iter().map(Into::into);
        self.without = Arc::new(self.without.iter().cloned().chain(symbols).collect());
        self
    }

    /// What we hold. A panic of the user's code is an error: it must not end the comparisons.
    async fn held(&self) -> Result<Held, String> {
        let mut reading = None;
        let reads = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                reading
                    .get_or_insert_with(|| (self.read)())
                    .as_mut()
                    .poll(cx)
            }));
            polled.unwrap_or_else(|panic| Poll::Ready(Err(words_of(&*panic).into())))
        });
        reads.await.map_err(|error| error.to_string())
    }
}

fn held<S: Into<Box<str>>>(positions: impl IntoIterator<Item = (S, Decimal)>) -> Held {
    let positions = positions.into_iter();
    positions.map(|(symbol, of)| (symbol.into(), of)).collect()
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", words.unwrap_or("without words"))
}

impl fmt::Debug for OwnPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPositions")
            .field("without", &self.without)
            .finish_non_exhaustive()
    }
}

/// Reads the broker's list of positions to its end, and compares it with our own; `None` if the broker has
/// no such list, or none without an account.
///
/// Our own are asked for after the list was read, and have the time of one page for that. Dropping the future
/// stops the reading.
///
/// # Errors
///
/// [`ListError`]: the list cannot be read to its end, or our own positions are not known.
pub async fn compare_positions(
    broker: &dyn Broker,
    client: &RequestSender,
    account: Option<&str>,
    config: ListsConfig,
    own: &OwnPositions,
) -> Result<Option<Reading>, ListError> {
    let began = Instant::now();
    let reader = Reader::new(broker, client, account, &config);
    let Some(theirs) = reader.positions().await? else {
        return Ok(None);
    };
    let failed = |message| ListError {
        list: ListName::Positions,
        kind: ListErrorKind::Own(message),
    };
    let ours = match timeout(config.page_timeout(), own.held()).await {
        Ok(ours) => ours.map_err(failed)?,
        Err(_) => return Err(failed("it did not come in time".into())),
    };
    let ours = ours.iter().map(|(symbol, quantity)| (&**symbol, *quantity));
    let listed = theirs.len();
    let theirs = theirs.iter().map(|of| (&*of.symbol, of.quantity));
    let compared = |(symbol, quantity): (_, _)| {
        let is_compared = !own.without.contains::<str>(symbol);
        is_compared.then_some(Position { symbol, quantity })
    };
    let ours: Vec<_> = ours.filter_map(compared).collect();
    let theirs: Vec<_> = theirs.filter_map(compared).collect();
    let different = protocol::compare_positions(&ours, &theirs).into_iter();
    let differences = different.map(|of| OwnedDifference::Position {
        symbol: of.symbol.into(),
        ours: of.ours,
        broker: of.broker,
    });
    let mut reading = Reading::new(began, Instant::now(), differences.collect());
    reading.listed = listed;
    Ok(Some(reading))
}
