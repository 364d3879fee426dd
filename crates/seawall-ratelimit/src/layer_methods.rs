//! What the layers with and without keys have in common.

/// Writes the setters, `feedback`, `handle`, `Layer` and `Debug` of a layer with the fields `state`,
/// `policy` and `cost`.
macro_rules! layer_methods {
    ($Layer:ident => $Service:ident, $Handle:ident) => {
        impl<X, M> $Layer<X, M> {
            fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> $Layer<Y, M> {
                $Layer {
                    state: self.state,
                    policy: change(self.policy),
                    cost: self.cost,
                }
            }

            /// Computes costs with `cost`, a [`CostFn`](crate::CostFn). Default: [`MetaCost`].
            #[must_use]
            pub fn cost<M2>(self, cost: M2) -> $Layer<X, M2> {
                $Layer {
                    state: self.state,
                    policy: self.policy,
                    cost,
                }
            }

            /// A layer to put below this one, next to the client. It reads signals from results
            /// with `reader`, and corrects the limits by them.
            pub fn feedback<F>(&self, reader: F) -> $crate::feedback::FeedbackLayer<X, F, M>
            where
                X: Clone,
                M: Clone,
            {
                let (policy, cost) = (self.policy.clone(), self.cost.clone());
                $crate::feedback::FeedbackLayer::new(self.state.clone(), reader, policy, cost)
            }

            /// A handle to read and to control the limits from outside.
            pub fn handle(&self) -> $Handle {
                $Handle::new(self.state.clone())
            }
        }

        seawall_core::policy_setters!($Layer[M]: describe);

        impl<S, X: Clone, M: Clone> tower_layer::Layer<S> for $Layer<X, M> {
            type Service = $Service<S, X, M>;

            fn layer(&self, inner: S) -> Self::Service {
                let (policy, cost) = (self.policy.clone(), self.cost.clone());
                $Service::new(inner, self.state.anchor(), policy, cost)
            }
        }

        seawall_core::impl_debug!($Layer<X, M>: |this|
            name = this.state.common().events.name(),
        );
    };
}

pub(crate) use layer_methods;
