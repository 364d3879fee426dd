#[path = "suite.rs"]
mod suite;

use ::reqwest;
use seawall_http::{IntoReqwestBody, ReqwestClient, ReqwestError, ReqwestFuture};
