//! What every layer would otherwise write again: accessors, `Debug`, states, settings.

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

/// Declares an enum whose variants are words of metrics and logs, with `as_str`.
///
/// It is `#[non_exhaustive]`, `Copy`, `Eq` and `Hash`, and under the calling crate's feature
/// `serde` it is serialized as its word.
///
/// ```
/// seawall_core::state_words! {
///     /// What a door does.
///     pub enum DoorState {
///         /// People pass.
///         Open = "open",
///         /// Nobody passes.
///         LockedUp = "locked_up",
///     }
/// }
/// # fn main() {
/// assert_eq!(DoorState::LockedUp.as_str(), "locked_up");
/// # }
/// ```
#[macro_export]
macro_rules! state_words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $State:ident {
            $($(#[$variant_meta:meta])* $Variant:ident = $word:tt),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(::serde::Serialize))]
        $vis enum $State {
            $(
                $(#[$variant_meta])*
                #[cfg_attr(feature = "serde", serde(rename = $word))]
                $Variant,
            )*
        }

        impl $State {
            /// The word in metrics and logs.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $word,)*
                }
            }
        }
    };
}

/// Writes getters in an impl, one line each: the signature without what is always the same.
///
/// ```
/// pub struct Door { width: u32, label: String }
///
/// impl Door {
///     seawall_core::getters! {
///         /// The width in centimeters.
///         pub const fn width -> u32;
///         /// What is written on it.
///         pub const fn label -> &String;
///     }
/// }
/// # fn main() {
/// assert_eq!(Door { width: 90, label: "in".into() }.width(), 90);
/// # }
/// ```
#[macro_export]
macro_rules! getters {
    () => {};
    ($(#[$meta:meta])* $vis:vis const fn $field:ident -> &$T:ty; $($rest:tt)*) => {
        $(#[$meta])*
        $vis const fn $field(&self) -> &$T {
            &self.$field
        }

        $crate::getters!($($rest)*);
    };
    ($(#[$meta:meta])* $vis:vis const fn $field:ident -> $T:ty; $($rest:tt)*) => {
        $(#[$meta])*
        $vis const fn $field(&self) -> $T {
            self.$field
        }

        $crate::getters!($($rest)*);
    };
}

/// Writes setters in an impl of a builder, one line each: the signature without what is always the
/// same. The first line names what has the fields; `Some(T)` sets an optional one.
///
/// ```
/// #[derive(Default)]
/// pub struct DoorConfig { width: u32, height: Option<u32> }
///
/// #[derive(Default)]
/// pub struct DoorConfigBuilder { config: DoorConfig }
///
/// impl DoorConfigBuilder {
///     seawall_core::setters! { self.config:
///         /// Sets the width in centimeters.
///         pub const fn width(u32);
///         /// Sets the height; as high as the frame unless set.
///         pub const fn height(Some(u32));
///     }
/// }
/// # fn main() {
/// let door = DoorConfigBuilder::default().width(90).height(200).config;
/// assert_eq!((door.width, door.height), (90, Some(200)));
/// # }
/// ```
#[macro_export]
macro_rules! setters {
    (@$self:ident $to:tt) => {};
    (
        @$self:ident [$($to:tt)+]
        $(#[$meta:meta])* $vis:vis const fn $field:ident(Some($T:ty)); $($rest:tt)*
    ) => {
        $(#[$meta])*
        $vis const fn $field(mut $self, $field: $T) -> Self {
            $($to)+.$field = Some($field);
            $self
        }

        $crate::setters!(@$self [$($to)+] $($rest)*);
    };
    (
        @$self:ident [$($to:tt)+]
        $(#[$meta:meta])* $vis:vis const fn $field:ident($T:ty); $($rest:tt)*
    ) => {
        $(#[$meta])*
        $vis const fn $field(mut $self, $field: $T) -> Self {
            $($to)+.$field = $field;
            $self
        }

        $crate::setters!(@$self [$($to)+] $($rest)*);
    };
    ($self:ident $(. $path:ident)*: $($setters:tt)+) => {
        $crate::setters!(@$self [$self $(. $path)*] $($setters)+);
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
