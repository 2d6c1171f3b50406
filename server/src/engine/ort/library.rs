//! The library of ONNX Runtime in this process.

use crate::error::StartError;
use millrace_crds::conditions::reason;
use ort::environment::Environment;
use std::{path::Path, sync::OnceLock};

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// Loads the library, once in a process: a failed lazy load would panic.
///
/// # Errors
/// It isn't there, or isn't ONNX Runtime of the version this server is built for.
pub fn load_library(path: &Path) -> Result<&'static Environment, StartError> {
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let failed = |error: String| {
        StartError::new(
            reason::PROVIDER_UNAVAILABLE,
            format!("ONNX Runtime can't be loaded: {error}; name its library by --ort-library"),
        )
    };
    let environment = ort::init_from(path)
        .map_err(|error| failed(error.to_string()))?
        .with_name("millrace")
        .with_telemetry(false)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Warning);
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// The library's version and how it was built.
#[must_use]
pub fn version() -> &'static str {
    ort::info()
}
