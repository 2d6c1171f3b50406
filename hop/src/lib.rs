//! What both ends of the inner hop agree on: gateway and operator on the one side, model servers on the other.
//!
//! One word that differs between them is a fault that no test of one side finds, so the words stand here, once. The
//! messages of the other traffic between programs, the reports, are in `millrace-crds`.

#[cfg(feature = "caller")]
pub mod caller;
pub mod deadline;
pub mod limits;
pub mod screen;

use http::{HeaderName, HeaderValue};

/// Header of an answer, and metadata of a gRPC status: the server never took the request in, so it may be sent elsewhere.
pub const NOT_ADMITTED: HeaderName = HeaderName::from_static("x-not-admitted");
/// Its value. Callers look at whether the header is there, not at the value.
pub const YES: HeaderValue = HeaderValue::from_static("1");
