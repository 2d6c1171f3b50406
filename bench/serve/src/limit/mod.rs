//! What servers are measured against, each as small as it can be: a limit that is itself slow would flatter.

mod abreast;
mod cores;
pub mod echo;
pub mod engine_loop;
pub mod floats;
pub mod floor;
pub mod raw_loop;
pub mod sizes;
