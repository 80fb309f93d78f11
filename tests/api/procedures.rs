//! The functions of the operators' menu, step by step as operators do them, through the API of a whole installation.

mod reportistica;
mod storico;
