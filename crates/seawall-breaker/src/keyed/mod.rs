//! One circuit per key.

mod future;
mod handle;
mod key;
mod layer;
mod map;
mod service;
mod single;
mod ticket;

pub use future::KeyedBreakerFuture;
pub use handle::BreakerRegistry;
pub use key::CircuitHandle;
pub use layer::KeyedBreakerLayer;
pub use service::KeyedBreaker;
pub use ticket::CircuitPermit;
