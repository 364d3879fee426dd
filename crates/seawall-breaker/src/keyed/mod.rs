//! One circuit per key.

mod future;
mod handle;
mod key;
mod layer;
mod map;
mod service;
mod single;
mod ticket;

pub use future::PerKeyFuture;
pub use handle::Breakers;
pub use key::KeyHandle;
pub use layer::PerKeyLayer;
pub use service::PerKey;
pub use ticket::KeyTicket;
