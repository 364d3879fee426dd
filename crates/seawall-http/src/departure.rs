//! What layers outside of a stack learn at the departure of an attempt.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, Request};
use seawall_core::{PrepareDeparture, Rejectable, Rejection};

/// Notes the departure of every attempt, for layers outside of a stack; a hook for
/// `HttpStack::on_departure` and [`DepartureLayer`](seawall_core::DepartureLayer).
///
/// Such layers see neither when a call leaves its queues nor how often it is tried. With this hook the
/// layers of `seawall-ai` know which calls are in flight and reserve again for each further attempt, and
/// the layer of `seawall-orders` lets each order leave once. A hook of your own calls it:
///
/// ```
/// use http::{HeaderValue, Request};
/// use seawall_http::NoteDeparture;
/// use seawall_core::{DepartureLayer, PrepareDeparture, Rejectable};
///
/// fn sign<B, E: Rejectable>(request: &mut Request<B>) -> Result<(), E> {
///     NoteDeparture.prepare_departure(request)?;
///     request.headers_mut().insert("x-signature", HeaderValue::from_static("..."));
///     Ok(())
/// }
/// let layer = DepartureLayer::new(sign::<(), seawall_core::Error<std::io::Error>>);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoteDeparture;

impl<B, E: Rejectable> PrepareDeparture<Request<B>, E> for NoteDeparture {
    fn prepare_departure(&self, request: &mut Request<B>) -> Result<(), E> {
        let mut next = request.extensions().get::<Departures>();
        while let Some(Departures(this)) = next {
            this.watcher.departs()?;
            next = this.outer.as_ref();
        }
        Ok(())
    }
}

/// What wants to know of the departures of one call; see [`Departures::watch`].
pub trait WatchDeparture: Send + Sync {
    /// An attempt is about to depart. Runs synchronously, so it must not block.
    ///
    /// # Errors
    ///
    /// The attempt must not leave: it is the result of the attempt.
    fn departs(&self) -> Result<(), Rejection>;

    /// The attempt that departed last has ended, and was certainly not sent: the connection was
    /// refused, say. A stack of the facade reports that, by its [`Receive`](crate::Receive).
    fn was_not_sent(&self) {}
}

/// The watchers of a call, in the extensions of its request; the innermost comes first.
#[derive(Clone)]
pub struct Departures(Arc<Watched>);

struct Watched {
    watcher: Arc<dyn WatchDeparture>,
    outer: Option<Departures>,
}

impl Departures {
    /// Adds a watcher to the requests that have these extensions: [`NoteDeparture`] asks it.
    pub fn watch(extensions: &mut Extensions, watcher: Arc<dyn WatchDeparture>) {
        let outer = extensions.remove::<Self>();
        extensions.insert(Self(Arc::new(Watched { watcher, outer })));
    }
}

impl Departures {
    /// The attempt of a request with these watchers was certainly not sent.
    #[cold]
    pub(crate) fn was_not_sent(&self) {
        let mut next = Some(self);
        while let Some(Self(this)) = next {
            this.watcher.was_not_sent();
            next = this.outer.as_ref();
        }
    }
}

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departures").finish_non_exhaustive()
    }
}
