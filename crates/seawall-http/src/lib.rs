//! What is particular to HTTP: classification, Retry-After, replayable and guarded bodies, replay safety by route.
