//! x
#![allow(dead_code, reason = "x")]
mod calendar;
mod cron;
mod error;
mod nyse;
mod times;
