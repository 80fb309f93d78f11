//! The functions of the operators' menu, each walked step by step.

mod guida_operativa;
mod modulistica;
