//! Retries as a Tower layer: replay-safe, budgeted, jittered below the cap, and obedient to Retry-After.
