//! A request to an application.

use std::time::Duration;

use crate::incident::Route;

/// A request as the applications see it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) route: Route,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) id: &'a str,
    pub(crate) moment: Moment,
}

/// When a request arrived, and when it is carried out, on the incident clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    pub(crate) arrived: Duration,
    pub(crate) at: Duration,
}
