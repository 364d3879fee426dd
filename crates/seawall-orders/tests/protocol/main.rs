//! What a driver of the protocol sees.

mod any_events;
mod cancels;
mod compare;
mod decimal;
mod doubts;
mod guards;
mod intents;
mod modes;
mod run;
