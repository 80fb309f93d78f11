//! The way back from an older store: the order that officers sign, and what evidence tells of the gap.
//!
//! Evidence is an export of the log. It must never give a try back, make a card alive again, or bind a former card of an
//! operator: what it cannot tell, it tells as touched.

mod gap;
mod operators;
mod order;

pub use gap::{BadEvidence, Gap, Told, Touched};
pub use operators::{Binding, OperatorTold};
pub use order::{BadOrder, Effect, Order};
