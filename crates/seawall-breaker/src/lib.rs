//! A circuit breaker and its outer gate as Tower layers: no lock when a call succeeds, no allocation, no wedged half-open state.
