//! The model's bytes: found, fetched, verified, and run once.

pub mod fetch;
pub mod guard;
pub mod source;
pub mod verify;

use crate::{
    config::ServeOptions,
    engine::{Engine, EngineError},
    error::StartError,
    protocol::{shape, tensor::Tensor},
};
use millrace_crds::{conditions::reason, manifest::Manifest};
use source::Source;
use std::path::{Path, PathBuf};

/// A model on disk, with the digest that it really has.
#[derive(Debug)]
pub struct Fetched {
    /// Its file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: String,
    /// Where it lies, if that place is gone with the process.
    pub scratch: Option<tempfile::TempDir>,
}

/// Gets the model of a manifest: from a mounted file, from the cache, or from its store.
///
/// # Errors
/// Why it can't be had, with the reason for the service's conditions.
pub async fn obtain(manifest: &Manifest, options: &ServeOptions) -> Result<Fetched, StartError> {
    let invalid = |message: &str| StartError::new(reason::INVALID, message);
    let model = manifest.spec.model.as_ref().ok_or_else(|| invalid("the manifest names no model"))?;
    if !model.files.is_empty() || model.uri.as_str().ends_with('/') {
        return Err(invalid("models of several files are not supported yet: name one ONNX file"));
    }
    let wanted = model.sha256.as_ref().map(millrace_crds::Sha256::as_str);
    if let Some(path) = &options.model_file {
        let digest = verify::digest_of(path).map_err(|error| {
            StartError::new(reason::FETCH_FAILED, format!("the model's file can't be read: {error}"))
        })?;
        verify::compare(&digest, wanted)?;
        return checked(Fetched { path: path.clone(), digest, scratch: None });
    }
    let source = Source::resolve(model.uri.as_str(), &source::read_stores(options.stores.as_deref())?)?;
    let (folder, scratch) = match &options.cache_dir {
        Some(folder) => (folder.clone(), None),
        None => {
            let scratch = tempfile::tempdir().map_err(|error| invalid(&format!("no folder for the model: {error}")))?;
            (scratch.path().to_owned(), Some(scratch))
        }
    };
    std::fs::create_dir_all(&folder).map_err(|error| invalid(&format!("the cache can't be made: {error}")))?;
    if let Some(path) = wanted.map(|digest| folder.join(format!("{digest}.onnx"))).filter(|path| path.exists())
        && verify::digest_of(&path).is_ok_and(|digest| Some(digest.as_str()) == wanted)
    {
        tracing::info!("the model is in the cache");
        return checked(Fetched { path, digest: wanted.unwrap_or_default().to_owned(), scratch });
    }
    let keys = source::Keys::read(options.credentials.as_deref(), model.credentials.as_ref())?;
    let (path, digest) = fetch::fetch(&source, &keys, &folder, wanted).await?;
    checked(Fetched { path, digest, scratch })
}

/// A model may not name files beside it: they would be read unverified.
fn checked(fetched: Fetched) -> Result<Fetched, StartError> {
    if verify::names_external_data(&fetched.path).unwrap_or(false) {
        return Err(StartError::new(
            reason::MODEL_INVALID,
            "the model keeps its weights in other files (external data); put them into the model's file",
        ));
    }
    Ok(fetched)
}

/// Runs the model on zeros, once for each bucket: the first run allocates and compiles.
///
/// # Errors
/// The engine fails.
pub fn warm_up(engine: &mut dyn Engine, buckets: &[usize]) -> Result<(), EngineError> {
    let signature = engine.signature().clone();
    let rows: Vec<usize> = if buckets.is_empty() || !signature.batches() { vec![1] } else { buckets.to_vec() };
    // A dimension that is free besides the batch has no size that fits every model: such a model isn't run.
    let free = |dims: &[i64]| dims.iter().skip(usize::from(signature.batches())).any(|&dim| dim < 0);
    if signature.inputs.iter().any(|spec| free(&spec.shape)) {
        return Ok(());
    }
    for rows in rows {
        let inputs: Vec<Tensor> = signature
            .inputs
            .iter()
            .map(|spec| {
                let shape: Vec<usize> = spec.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(rows)).collect();
                let mut data = spec.datatype.empty();
                data.pad(shape::count(&shape).unwrap_or(0));
                Tensor { name: spec.name.clone(), shape, data }
            })
            .collect();
        engine.run(&inputs, &mut |_| {})?;
    }
    Ok(())
}

/// Removes what a broken transfer left.
pub(crate) fn remove_quietly(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "a partial file stays");
    }
}
