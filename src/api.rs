//! Wire types of the JSON API. Nothing below `http` and `courier` knows them.
//!
//! Requests refuse unknown fields; answers may get more fields in later versions.

pub mod approvals;
pub mod cards;
pub mod codes;
pub mod courier;
pub mod operators;
pub mod policy;
pub mod problem;
pub mod texts;
