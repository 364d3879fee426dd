//! A concurrency limit with a bounded, first-in first-out, cancel-safe queue as a Tower layer.
