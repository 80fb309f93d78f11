//! Text messages: the gateway (an HTTP interface in the manner of Kannel's `sendsms`), its delivery receipts, and
//! what a text may hold.
//!
//! The number and the text leave this process in one request to the gateway, in headers and body, never in its URL:
//! URLs end up in logs. Nothing here logs either, or what the gateway answers in words.

mod gateway;
mod receipts;
mod slips;

pub(super) mod text;

pub(super) use gateway::secret_header;
pub use gateway::{Account, SmsGateway};
pub use receipts::Receipts;
pub use slips::Slips;
