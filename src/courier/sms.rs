//! Text messages: the gateway (an HTTP interface in the manner of Kannel's `sendsms`) and its delivery receipts, or a
//! message centre by SMPP, and what a text may hold.
//!
//! To a gateway number and text leave this process in one request, in headers and body, never in its URL:
//! URLs end up in logs. Nothing here logs either, or what the gateway answers in words.

mod gateway;
mod receipts;
mod slips;

pub mod smpp;
pub mod text;

pub(super) use gateway::secret_header;
pub use gateway::{Account, SmsGateway};
pub use receipts::Receipts;
pub use slips::Slips;
pub(super) use smpp::Sender;
pub use smpp::{SmppAccount, SmppGateway, SmppLink};
