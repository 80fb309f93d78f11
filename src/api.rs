//! Wire types of the JSON API. Nothing below `http` and `courier` knows them.
//!
//! Requests refuse unknown fields; answers may get more fields in later versions.

pub mod applicant;
pub mod approvals;
pub mod cards;
pub mod cip;
pub mod codes;
pub mod consents;
pub mod courier;
pub mod deliveries;
pub mod history;
pub mod operators;
pub mod paper;
pub mod policy;
pub mod problem;
pub mod readers;
pub mod renewals;
pub mod statistics;
pub mod texts;
