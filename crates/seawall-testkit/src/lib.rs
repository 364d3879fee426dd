//! Test Tower layers and clients: a strict contract mock, the laws of a layer, simulated providers and scripted incidents.

#[cfg(feature = "providers")]
pub mod incident;
