//! The functions of a counter, step by step as operators carry them out, through the API of a whole installation.

mod cambio_contatto;
mod counter;
mod nuovo_cip;
mod reinvio;
mod sblocco;
