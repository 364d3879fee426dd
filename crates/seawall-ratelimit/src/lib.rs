//! A rate limiter as a Tower layer: GCRA in one atomic, first-in first-out waiting, refusals that say when to come back.
