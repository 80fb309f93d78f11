//! The rules of codes, cards and evidence. Pure: no clock, no file, no socket, no HSM, no store (`tests/tidy.rs`).

pub mod approval;
pub mod audit;
pub mod card;
pub mod checkpoint;
pub mod chip;
pub mod contact;
pub mod date;
pub mod delivery;
pub mod derive;
pub mod encoding;
pub mod fictional;
pub mod going_back;
pub mod id;
pub mod in_force;
pub mod limits;
mod luhn;
pub mod officers;
pub mod operations;
mod record;
pub mod recovery;
pub mod registration;
pub mod signed_text;
pub mod tax_code;
pub mod team;
pub mod template;
pub mod tries;
pub mod unlocks;
