//! What every layer would otherwise write again: accessors of the inner service, `Debug`.

/// Writes `get_ref`, `get_mut` and `into_inner` of a service with the field `inner`.
///
/// ```
/// pub struct Limited<S, X> { inner: S, permits: X }
///
/// seawall_core::inner_accessors!(Limited<S, X>);
/// # fn main() {
/// let mut limited = Limited { inner: "client", permits: 3 };
/// assert_eq!((*limited.get_ref(), *limited.get_mut()), ("client", "client"));
/// assert_eq!(limited.permits, 3);
/// assert_eq!(limited.into_inner(), "client");
/// # }
/// ```
#[macro_export]
macro_rules! inner_accessors {
    ($Service:ident<$S:ident $(, $rest:ident)* $(,)?>) => {
        impl<$S $(, $rest)*> $Service<$S $(, $rest)*> {
            /// The inner service.
            pub fn get_ref(&self) -> &$S {
                &self.inner
            }

            /// The inner service, mutably.
            pub fn get_mut(&mut self) -> &mut $S {
                &mut self.inner
            }

            /// The inner service, by value.
            pub fn into_inner(self) -> $S {
                self.inner
            }
        }
    };
}

/// Implements `Debug` with the fields that are named, whatever the type parameters are: a derived
/// one would ask `Debug` of closures and of the caller's service.
///
/// ```
/// pub struct Limited<S> { inner: S, permits: u32 }
///
/// seawall_core::impl_debug!(Limited<S>: |this| permits = this.permits);
/// # fn main() {
/// let limited = Limited { inner: || (), permits: 3 };
/// assert_eq!(format!("{limited:?}"), "Limited { permits: 3, .. }");
/// # (limited.inner)();
/// # }
/// ```
#[macro_export]
macro_rules! impl_debug {
    ($Type:ident $(<$($param:tt),+ $(,)?>)? $(where [$($bound:tt)*])?: $(|$this:ident| $($field:ident = $value:expr),* $(,)?)?) => {
        impl $(<$($param),+>)? ::core::fmt::Debug for $Type $(<$($param),+>)? $(where $($bound)*)? {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                $(let $this = self;)?
                f.debug_struct(stringify!($Type))
                    $($(.field(stringify!($field), &$value))*)?
                    .finish_non_exhaustive()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    struct Plain;
    struct Bounded<S> {
        inner: S,
    }

    impl_debug!(Plain:);
    impl_debug!(Bounded<S> where [S: Copy + Into<u64>]: |this| inner = this.inner.into());

    #[test]
    fn debug_shows_what_is_named() {
        assert_eq!(format!("{Plain:?}"), "Plain { .. }");
        let bounded = Bounded { inner: 7_u32 };
        assert_eq!(format!("{bounded:?}"), "Bounded { inner: 7, .. }");
    }
}
