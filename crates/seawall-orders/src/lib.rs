//! Orders that are never sent twice and never lost.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod journal;
