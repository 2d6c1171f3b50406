//! The command line: what is run, on which cases, and where figures go.

pub mod arguments;
pub mod cases;
pub mod check;
pub mod cluster;
pub mod fleet;
pub mod law;
pub mod replay;
pub mod scenarios;
pub mod table;
pub mod work;
