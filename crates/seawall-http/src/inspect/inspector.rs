//! What classifies a response by its body.

use http::response::Parts;
use seawall_core::Outcome;

/// Classifies a response by its head and its complete body. Closures and `fn` pointers
/// `Fn(&Parts, &[u8]) -> Option<Outcome>` are inspectors; a `fn` pointer, [`InspectFn`], can be
/// named.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not inspect the bodies of responses",
    note = "an inspector is a `Fn(&http::response::Parts, &[u8]) -> Option<seawall_core::Outcome>`"
)]
pub trait Inspector {
    /// What the response means for the upstream, or `None` when its head is enough.
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome>;
}

/// An inspector as a `fn` pointer: one type for all of them.
pub type InspectFn = fn(&Parts, &[u8]) -> Option<Outcome>;

#[diagnostic::do_not_recommend]
impl<F> Inspector for F
where
    F: Fn(&Parts, &[u8]) -> Option<Outcome>,
{
    fn inspect(&self, head: &Parts, body: &[u8]) -> Option<Outcome> {
        self(head, body)
    }
}
