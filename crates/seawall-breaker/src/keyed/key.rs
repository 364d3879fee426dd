//! What finds the key of a request.

use std::borrow::Cow;

use seawall_core::SharedReadings;
use seawall_core::carry::{Carried, Described, Storage};

/// Finds the key of a request. Closures and `fn` pointers `Fn(&Req) -> Cow<'_, K>` do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` finds no key of type `{K}` in requests of type `{Req}`",
    label = "not a key function of this service's requests",
    note = "a key function is a `fn(&Request) -> Cow<'_, Key>`"
)]
pub trait ExtractKey<Req, K: ToOwned + ?Sized> {
    /// The key of `request`, borrowed where it can be. Called once per call.
    fn extract_key<'a>(&self, request: &'a Req) -> Cow<'a, K>
    where
        K: 'a;
}

#[diagnostic::do_not_recommend]
impl<F, Req, K> ExtractKey<Req, K> for F
where
    F: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    K: ToOwned + ?Sized,
{
    fn extract_key<'a>(&self, request: &'a Req) -> Cow<'a, K>
    where
        K: 'a,
    {
        self(request)
    }
}

/// In a stack whose requests carry what they are.
impl<F, T, Req, K> ExtractKey<T, K> for Carried<F>
where
    F: ExtractKey<Req, K>,
    T: Storage<Value = Described<Req>>,
    Req: 'static,
    K: ToOwned + ?Sized,
{
    fn extract_key<'a>(&self, described: &'a T) -> Cow<'a, K>
    where
        K: 'a,
    {
        let request = &described.get().request;
        SharedReadings::apart(|| self.0.extract_key(request))
    }
}
