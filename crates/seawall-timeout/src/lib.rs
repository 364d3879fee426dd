//! Attempt timeouts and overall deadlines as Tower layers: no timer while the answer is ready at once, readiness covered.
