#[allow(clippy::duplicate_mod, reason = "the same tests for another version")]
#[path = "suite.rs"]
mod suite;

use reqwest_0_12 as reqwest;
use seawall_http::reqwest_0_12::{IntoReqwestBody, ReqwestClient, ReqwestError, ReqwestFuture};
