//! What a layer asks about the calls of a service, in one value.

use crate::{CloneRequest, CompleteOnResponse, DefaultMeta, DropResponse, ErrorIsFailure};

/// What the layers must know about a service, in one value: what a response means, what a
/// request is, when a call is over, how a request is copied, and what is kept of a response whose
/// call is tried again.
///
/// Every layer has one type parameter for it and uses the parts that it needs. The layers' own
/// methods `classify`, `describe`, `track_completion`, `copy` and `keep` change one part; `policy`
/// sets all of them, so that a service's policy is written once for its whole stack.
///
/// ```
/// use seawall_core::{ConstMeta, FailureKind, Outcome, Policy, Replay, RequestMeta};
///
/// fn by_status(result: Result<&u16, &seawall_core::Error<std::io::Error>>) -> Outcome {
///     match result {
///         Ok(500..) | Err(_) => Outcome::Failure(FailureKind::Server),
///         Ok(_) => Outcome::Success,
///     }
/// }
///
/// let policy = Policy::new()
///     .classify(by_status)
///     .describe(ConstMeta(RequestMeta::new(Replay::Safe)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy<
    C = ErrorIsFailure,
    D = DefaultMeta,
    T = CompleteOnResponse,
    P = CloneRequest,
    K = DropResponse,
> {
    classifier: C,
    describer: D,
    completion: T,
    copier: P,
    keeper: K,
}

impl Policy {
    /// Errors are failures, no request is known to be safe to send twice, a call is over with its
    /// response, requests are copied with `Clone`, and a response whose call is tried again is
    /// dropped.
    pub const fn new() -> Self {
        Self {
            classifier: ErrorIsFailure,
            describer: DefaultMeta,
            completion: CompleteOnResponse,
            copier: CloneRequest,
            keeper: DropResponse,
        }
    }
}

impl<C, D, T, P, K> Policy<C, D, T, P, K> {
    /// Classifies results with `classifier`; see [`Classify`](crate::Classify).
    #[must_use]
    pub fn classify<C2>(self, classifier: C2) -> Policy<C2, D, T, P, K> {
        Policy {
            classifier,
            describer: self.describer,
            completion: self.completion,
            copier: self.copier,
            keeper: self.keeper,
        }
    }

    /// Learns from `describer` what a request is; see [`Describe`](crate::Describe).
    #[must_use]
    pub fn describe<D2>(self, describer: D2) -> Policy<C, D2, T, P, K> {
        Policy {
            classifier: self.classifier,
            describer,
            completion: self.completion,
            copier: self.copier,
            keeper: self.keeper,
        }
    }

    /// Decides with `completion` when a call is over; see
    /// [`TrackCompletion`](crate::TrackCompletion).
    #[must_use]
    pub fn track_completion<T2>(self, completion: T2) -> Policy<C, D, T2, P, K> {
        Policy {
            classifier: self.classifier,
            describer: self.describer,
            completion,
            copier: self.copier,
            keeper: self.keeper,
        }
    }

    /// Copies requests for further attempts with `copier`; see
    /// [`CopyRequest`](crate::CopyRequest).
    #[must_use]
    pub fn copy<P2>(self, copier: P2) -> Policy<C, D, T, P2, K> {
        Policy {
            classifier: self.classifier,
            describer: self.describer,
            completion: self.completion,
            copier,
            keeper: self.keeper,
        }
    }

    /// Keeps with `keeper` the response of an attempt while another one is tried; see
    /// [`KeepResponse`](crate::KeepResponse).
    #[must_use]
    pub fn keep<K2>(self, keeper: K2) -> Policy<C, D, T, P, K2> {
        Policy {
            classifier: self.classifier,
            describer: self.describer,
            completion: self.completion,
            copier: self.copier,
            keeper,
        }
    }
}

/// The parts of a [`Policy`]: what layers and their services ask their one type parameter for.
///
/// The parts are associated types, so that a service states only the bounds that it needs.
/// Implement it for a bundle of your own, or use [`Policy`].
pub trait Policies {
    /// Classifies results; see [`Classify`](crate::Classify).
    type Classifier;
    /// Says what a request is; see [`Describe`](crate::Describe).
    type Describer;
    /// Decides when a call is over; see [`TrackCompletion`](crate::TrackCompletion).
    type Completion;
    /// Copies requests; see [`CopyRequest`](crate::CopyRequest).
    type Copier;
    /// Keeps responses; see [`KeepResponse`](crate::KeepResponse).
    type Keeper;

    /// What classifies results.
    fn classifier(&self) -> &Self::Classifier;
    /// What describes requests.
    fn describer(&self) -> &Self::Describer;
    /// What decides when a call is over.
    fn completion(&self) -> &Self::Completion;
    /// What copies requests.
    fn copier(&self) -> &Self::Copier;
    /// What keeps responses.
    fn keeper(&self) -> &Self::Keeper;
}

impl<C, D, T, P, K> Policies for Policy<C, D, T, P, K> {
    type Classifier = C;
    type Describer = D;
    type Completion = T;
    type Copier = P;
    type Keeper = K;

    #[inline]
    fn classifier(&self) -> &C {
        &self.classifier
    }

    #[inline]
    fn describer(&self) -> &D {
        &self.describer
    }

    #[inline]
    fn completion(&self) -> &T {
        &self.completion
    }

    #[inline]
    fn copier(&self) -> &P {
        &self.copier
    }

    #[inline]
    fn keeper(&self) -> &K {
        &self.keeper
    }
}

/// Writes the setters of a layer's policy: `policy`, and of `classify`, `describe`,
/// `track_completion`, `copy` and `keep` those that are named.
///
/// The layer is `Layer<Policy<..>, Rest..>`, and its fields are `policy` and those in braces.
/// Without the braces it has a method
/// `fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> Layer<Y, Rest..>` of its own, which is
/// written otherwise. A parameter with a bound is written `K {ToOwned + ?Sized}`.
///
/// ```
/// use seawall_core::{Policy, policy_setters};
///
/// pub struct RetryLayer<X = Policy, H = ()> { policy: X, hooks: H }
///
/// policy_setters!(RetryLayer[H] { hooks }: classify, describe, copy, keep);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! policy_setters {
    (
        $Layer:ident $([$($rest:ident $({$($bound:tt)*})?),+])? {$($field:ident),*}:
        $($setter:ident),* $(,)?
    ) => {
        impl<X $(, $($rest $(: $($bound)*)?),+)?> $Layer<X $(, $($rest),+)?> {
            fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> $Layer<Y $(, $($rest),+)?> {
                $Layer {
                    policy: change(self.policy),
                    $($field: self.$field,)*
                }
            }
        }

        $crate::policy_setters!($Layer $([$($rest $({$($bound)*})?),+])?: $($setter),*);
    };
    ($Layer:ident $([$($rest:ident $({$($bound:tt)*})?),+])?: $($setter:ident),* $(,)?) => {
        impl<X $(, $($rest $(: $($bound)*)?),+)?> $Layer<X $(, $($rest),+)?> {
            /// Sets everything that the layer must know about the service at once: what a response
            /// means, what a request is, when a call is over, how a request is copied, what is kept
            /// of a response.
            #[must_use]
            pub fn policy<Y: $crate::Policies>(self, policy: Y) -> $Layer<Y $(, $($rest),+)?> {
                self.map_policy(|_| policy)
            }
        }

        $crate::policy_setters!(
            @each $Layer [$($($rest $({$($bound)*})?),+)?] $($setter)*
        );
    };
    (@each $Layer:ident $rest:tt) => {};
    (@each $Layer:ident $rest:tt $setter:ident $($more:ident)*) => {
        $crate::policy_setters!(@$setter $Layer $rest);
        $crate::policy_setters!(@each $Layer $rest $($more)*);
    };
    (@classify $Layer:ident [$($rest:ident $({$($bound:tt)*})?),*]) => {
        impl<C, D, T, P, Kr $(, $rest $(: $($bound)*)?)*> $Layer<$crate::Policy<C, D, T, P, Kr> $(, $rest)*> {
            /// Classifies results with `classifier`, a [`Classify`]($crate::Classify). Default: every
            /// `Err` is a failure and every `Ok` a success, so errors inside `Ok`, such as an HTTP
            /// response with status 503, need a classifier.
            #[must_use]
            pub fn classify<C2>(
                self,
                classifier: C2,
            ) -> $Layer<$crate::Policy<C2, D, T, P, Kr> $(, $rest)*> {
                self.map_policy(|policy| policy.classify(classifier))
            }
        }
    };
    (@describe $Layer:ident [$($rest:ident $({$($bound:tt)*})?),*]) => {
        impl<C, D, T, P, Kr $(, $rest $(: $($bound)*)?)*> $Layer<$crate::Policy<C, D, T, P, Kr> $(, $rest)*> {
            /// Learns what a request is from `describer`, a [`Describe`]($crate::Describe).
            /// Default: [`DefaultMeta`]($crate::DefaultMeta), never safe to send twice.
            #[must_use]
            pub fn describe<D2>(
                self,
                describer: D2,
            ) -> $Layer<$crate::Policy<C, D2, T, P, Kr> $(, $rest)*> {
                self.map_policy(|policy| policy.describe(describer))
            }
        }
    };
    (@track_completion $Layer:ident [$($rest:ident $({$($bound:tt)*})?),*]) => {
        impl<C, D, T, P, Kr $(, $rest $(: $($bound)*)?)*> $Layer<$crate::Policy<C, D, T, P, Kr> $(, $rest)*> {
            /// Decides with `completion`, a [`TrackCompletion`]($crate::TrackCompletion), when a
            /// call is over. Default: with its response.
            #[must_use]
            pub fn track_completion<T2>(
                self,
                completion: T2,
            ) -> $Layer<$crate::Policy<C, D, T2, P, Kr> $(, $rest)*> {
                self.map_policy(|policy| policy.track_completion(completion))
            }
        }
    };
    (@copy $Layer:ident [$($rest:ident $({$($bound:tt)*})?),*]) => {
        impl<C, D, T, P, Kr $(, $rest $(: $($bound)*)?)*> $Layer<$crate::Policy<C, D, T, P, Kr> $(, $rest)*> {
            /// Copies requests with `copier`, a [`CopyRequest`]($crate::CopyRequest), in place of
            /// `Clone`.
            #[must_use]
            pub fn copy<P2>(
                self,
                copier: P2,
            ) -> $Layer<$crate::Policy<C, D, T, P2, Kr> $(, $rest)*> {
                self.map_policy(|policy| policy.copy(copier))
            }
        }
    };
    (@keep $Layer:ident [$($rest:ident $({$($bound:tt)*})?),*]) => {
        impl<C, D, T, P, Kr $(, $rest $(: $($bound)*)?)*>
            $Layer<$crate::Policy<C, D, T, P, Kr> $(, $rest)*>
        {
            /// Keeps with `keeper`, a [`KeepResponse`]($crate::KeepResponse), the response of an
            /// attempt while another one is tried, and lets its connection be used again.
            /// Default: [`DropResponse`]($crate::DropResponse), which keeps none.
            #[must_use]
            pub fn keep<K2>(
                self,
                keeper: K2,
            ) -> $Layer<$crate::Policy<C, D, T, P, K2> $(, $rest)*> {
                self.map_policy(|policy| policy.keep(keeper))
            }
        }
    };
}
