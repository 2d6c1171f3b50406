//! HTTP: routes, bodies and the one place where errors become responses.

pub mod answers;
pub mod body;
pub mod encoding;
pub mod events;
pub mod handlers;
pub mod models;
pub mod openai;
pub mod route;
