//! The model's bytes: found, fetched and verified.

pub mod external;
pub mod fetch;
pub mod files;
pub mod guard;
pub mod ranges;
pub mod shelf;
pub mod source;
pub mod variant;
pub mod verify;

use crate::{config::ModelOptions, error::StartError};
use files::Files;
use millrace_crds::{Credentials, Model, ModelFile, NamedModel, Sha256, Uri, conditions::reason, manifest::Manifest};
use sha2::{Digest as _, Sha256 as Digest256};
use shelf::{Held, Shelf, Taken};
use source::Source;
use std::path::{Path, PathBuf};

/// A model on disk, with the digest that it really has.
#[derive(Debug)]
pub struct Fetched {
    /// Its ONNX file.
    pub path: PathBuf,
    /// Its SHA-256; of a model of several files, the digest of their names and digests.
    pub digest: String,
    /// Its files, where the manifest names several.
    pub files: Files,
    /// Where it lies, as far as that is gone with the process.
    pub scratch: Vec<tempfile::TempDir>,
    /// What of it lies on the node's shelf, and stays there as long as it is held.
    pub held: Vec<Held>,
}

impl Fetched {
    /// A model that is nowhere: for engines that need no file.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            path: PathBuf::new(),
            digest: "none".to_owned(),
            files: Files::default(),
            scratch: Vec::new(),
            held: Vec::new(),
        }
    }
}

/// What a manifest says of one model.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where it is: a file, or a folder.
    pub uri: &'a Uri,
    /// Digest of a single file.
    pub sha256: Option<&'a Sha256>,
    /// Files of a folder, the ONNX file first.
    pub files: &'a [ModelFile],
    /// The keys to its store.
    pub credentials: Option<&'a Credentials>,
}

impl<'a> From<&'a Model> for Wanted<'a> {
    fn from(model: &'a Model) -> Self {
        let Model { uri, sha256, files, credentials, .. } = model;
        Self { uri, sha256: sha256.as_ref(), files, credentials: credentials.as_ref() }
    }
}

impl<'a> From<&'a NamedModel> for Wanted<'a> {
    fn from(model: &'a NamedModel) -> Self {
        let NamedModel { uri, sha256, files, credentials, .. } = model;
        Self { uri, sha256: sha256.as_ref(), files, credentials: credentials.as_ref() }
    }
}

fn invalid(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Gets the model of a manifest, or a variant of it: from a mounted file or folder, from the cache, or from its store.
///
/// # Errors
/// Why it can't be had, with the reason for the service's conditions.
pub async fn obtain(manifest: &Manifest, options: &ModelOptions, variant: Option<&str>) -> Result<Fetched, StartError> {
    let model = manifest.spec.model.as_ref().ok_or_else(|| invalid("the manifest names no model"))?;
    match variant {
        Some(name) => variant::obtain(model, variant::find(model, name)?, options).await,
        None => obtain_one(model.into(), options.model_file.as_deref(), options).await,
    }
}

/// Gets each of several models: from its store, or from a folder that holds them by their names, `NAME.onnx` or `NAME/`.
///
/// # Errors
/// Why one can't be had, with its name.
pub async fn obtain_each(models: &[NamedModel], options: &ModelOptions) -> Result<Vec<Fetched>, StartError> {
    let mut fetched = Vec::with_capacity(models.len());
    for model in models {
        let mounted = options.model_file.as_ref().map(|folder| {
            if model.files.is_empty() {
                folder.join(format!("{}.onnx", model.name))
            } else {
                folder.join(model.name.as_str())
            }
        });
        let one = obtain_one(model.into(), mounted.as_deref(), options).await;
        fetched.push(
            one.map_err(|error| StartError { message: format!("model {}: {}", model.name, error.message), ..error })?,
        );
    }
    Ok(fetched)
}

/// One digest for several models: of their names and digests.
#[must_use]
pub fn together<'a>(models: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = Digest256::new();
    for (name, digest) in models {
        hasher.update(format!("{name}\0{digest}\n"));
    }
    verify::hex(&hasher.finalize())
}

/// Gets one model; `mounted` is where it lies already, if it does.
///
/// # Errors
/// Why it can't be had, with the reason for the service's conditions.
pub async fn obtain_one(
    model: Wanted<'_>,
    mounted: Option<&Path>,
    options: &ModelOptions,
) -> Result<Fetched, StartError> {
    checked(gather(model, mounted, options).await?)
}

/// Files with the digests that the manifest names, whatever is in them.
async fn gather(model: Wanted<'_>, mounted: Option<&Path>, options: &ModelOptions) -> Result<Fetched, StartError> {
    if model.files.is_empty() == model.uri.as_str().ends_with('/') {
        return Err(invalid("a uri that ends in / is a folder and needs files; any other is one file and takes none"));
    }
    if let Some(path) = mounted {
        return mounted_model(model, path);
    }
    let source = Source::resolve(model.uri.as_str(), &source::read_stores(options.stores.as_deref())?)?;
    let keys = || source::Keys::read(options.credentials.as_deref(), model.credentials);
    let (folder, scratch) = match &options.cache_dir {
        Some(folder) => (folder.clone(), Vec::new()),
        None => {
            let scratch = tempfile::tempdir().map_err(|error| invalid(format!("no folder for the model: {error}")))?;
            (scratch.path().to_owned(), vec![scratch])
        }
    };
    std::fs::create_dir_all(&folder).map_err(|error| invalid(format!("the cache can't be made: {error}")))?;
    if let (true, None) = (model.files.is_empty(), model.sha256) {
        let (path, digest) = fetch::fetch(&source, &keys()?, &folder, None).await?;
        return Ok(Fetched { path, digest, files: Files::default(), scratch, held: Vec::new() });
    }
    // The folder of a model is its alone: files lie as the manifest names them, for they may name each other.
    let key = key(model)?;
    let folder = folder.join(&key);
    if let Some(shelf) = shelf(options) {
        match shelved(model, (&source, &keys), (&shelf, &key), &folder).await {
            Ok(Some(fetched)) => return Ok(fetched),
            Ok(None) => tracing::warn!(model = key, "the model isn't kept on the node: this server has it alone"),
            Err(Unshelved::Fetch(error)) => return Err(error),
            Err(Unshelved::Folder(error)) => {
                tracing::warn!(%error, folder = %shelf.root.display(), "models can't be kept on the node: this server has its alone");
            }
        }
    }
    Ok(Fetched { scratch, ..filled(model, &source, &keys, &folder).await? })
}

/// What names the folder of a model with a digest: that, or the one of all its files.
fn key(model: Wanted<'_>) -> Result<String, StartError> {
    match model.sha256.filter(|_| model.files.is_empty()) {
        Some(digest) => Ok(digest.as_str().to_owned()),
        None => Ok(format!("set-{}", Files::new(PathBuf::new(), model.files)?.digest())),
    }
}

fn shelf(options: &ModelOptions) -> Option<Shelf> {
    options.node_cache.clone().map(|root| Shelf { root, limit: options.node_cache_limit })
}

/// Why a model isn't read from the node's shelf.
enum Unshelved {
    /// The shelf can't be used: another place may do.
    Folder(std::io::Error),
    /// The model can't be had.
    Fetch(StartError),
}

/// Gets a model from the node's shelf, and puts it there first if it isn't. `None`: it has no place there; what was fetched
/// in vain lies in `own`.
async fn shelved(
    model: Wanted<'_>,
    (source, keys): (&Source, &impl Fn() -> Result<source::Keys, StartError>),
    (shelf, key): (&Shelf, &str),
    own: &Path,
) -> Result<Option<Fetched>, Unshelved> {
    loop {
        match shelf.take(key).await.map_err(Unshelved::Folder)? {
            Taken::Whole(held) => {
                if let Some(fetched) = found(model, &held.folder).map_err(Unshelved::Fetch)? {
                    return Ok(Some(Fetched { held: vec![held], ..fetched }));
                }
                tracing::error!(model = key, "a file on the node isn't what its digest says: somebody has changed it");
                if !shelf.distrust(held).map_err(Unshelved::Folder)? {
                    return Ok(None);
                }
            }
            Taken::Empty(entry) => {
                let fetched = filled(model, source, keys, &entry.folder).await.map_err(Unshelved::Fetch)?;
                if shelf.is_too_large(&entry).map_err(Unshelved::Folder)? {
                    carry(model, &entry.folder, own).and_then(|()| shelf.discard(entry)).map_err(Unshelved::Folder)?;
                    return Ok(None);
                }
                let held = shelf.settle(entry).map_err(Unshelved::Folder)?;
                return Ok(held.map(|held| Fetched { held: vec![held], ..fetched }));
            }
        }
    }
}

/// Copies a model's files from one folder to another.
fn carry(model: Wanted<'_>, from: &Path, to: &Path) -> std::io::Result<()> {
    for ((_, old, _), (_, new, _)) in places(model, from).into_iter().zip(places(model, to)) {
        new.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::copy(old, new)?;
    }
    Ok(())
}

/// A model's files and their places in its folder.
fn places<'m>(model: Wanted<'m>, folder: &Path) -> Vec<(Option<&'m ModelFile>, PathBuf, &'m str)> {
    if let (Some(digest), true) = (model.sha256, model.files.is_empty()) {
        return vec![(None, folder.join("model.onnx"), digest.as_str())];
    }
    let place = |file: &'m ModelFile| (Some(file), folder.join(file.path.as_str()), file.sha256.as_str());
    model.files.iter().map(place).collect()
}

/// The model in a folder, if each of its files is there and what its digest says.
fn found(model: Wanted<'_>, folder: &Path) -> Result<Option<Fetched>, StartError> {
    let is_whole = places(model, folder).iter().all(|(_, path, digest)| is_cached(path, digest));
    is_whole.then(|| lying(model, folder)).transpose()
}

/// The model in a folder, whose files have been verified.
fn lying(model: Wanted<'_>, folder: &Path) -> Result<Fetched, StartError> {
    let (files, digest) = if model.files.is_empty() {
        (Files::default(), model.sha256.map_or("", Sha256::as_str).to_owned())
    } else {
        let files = Files::new(folder.to_owned(), model.files)?;
        let digest = files.digest();
        (files, digest)
    };
    let path = places(model, folder).into_iter().next().map(|(_, path, _)| path).unwrap_or_default();
    Ok(Fetched { path, digest, files, scratch: Vec::new(), held: Vec::new() })
}

/// The model in a folder, with what isn't there fetched.
async fn filled(
    model: Wanted<'_>,
    source: &Source,
    keys: &impl Fn() -> Result<source::Keys, StartError>,
    folder: &Path,
) -> Result<Fetched, StartError> {
    for (file, path, digest) in places(model, folder) {
        if is_cached(&path, digest) {
            continue;
        }
        match file {
            Some(file) => fetch::fetch_to(&source.file(file.path.as_str()), &keys()?, &path, digest)
                .await
                .map_err(|error| naming(file, error))?,
            None => fetch::fetch_to(source, &keys()?, &path, digest).await?,
        }
    }
    lying(model, folder)
}

/// An error of one of several files says which.
fn naming(file: &ModelFile, error: StartError) -> StartError {
    StartError { message: format!("{}: {}", file.path, error.message), ..error }
}

fn is_cached(path: &Path, wanted: &str) -> bool {
    let cached = path.exists() && verify::digest_of(path).is_ok_and(|digest| digest == wanted);
    if cached {
        tracing::info!(digest = wanted, "a file of the model is in the cache");
    }
    cached
}

/// A model that lies on this machine: its file; or for a model of several files their folder, or the first of them in it.
fn mounted_model(model: Wanted<'_>, path: &Path) -> Result<Fetched, StartError> {
    let unreadable = |error| StartError::new(reason::FETCH_FAILED, format!("{} can't be read: {error}", model.uri));
    let Some(first) = model.files.first() else {
        let digest = verify::digest_of(path).map_err(unreadable)?;
        verify::compare(&digest, model.sha256.map(Sha256::as_str))?;
        let files = Files::default();
        return Ok(Fetched { path: path.to_owned(), digest, files, scratch: Vec::new(), held: Vec::new() });
    };
    let folder = match path.to_str().and_then(|whole| whole.strip_suffix(first.path.as_str())) {
        Some(folder) if !path.is_dir() => PathBuf::from(if folder.is_empty() { "." } else { folder }),
        _ => path.to_owned(),
    };
    let files = Files::new(folder.clone(), model.files)?;
    for file in model.files {
        let path = files::check_beneath(&folder, file.path.as_str())?;
        let digest = verify::digest_of(&path).map_err(unreadable).map_err(|error| naming(file, error))?;
        verify::compare(&digest, Some(file.sha256.as_str())).map_err(|error| naming(file, error))?;
    }
    let (path, digest) = (folder.join(first.path.as_str()), files.digest());
    Ok(Fetched { path, digest, files, scratch: Vec::new(), held: Vec::new() })
}

/// A model may name other files only if the manifest does too: any other would be read unverified.
fn checked(fetched: Fetched) -> Result<Fetched, StartError> {
    let refused = |message: String| Err(StartError::new(reason::MODEL_INVALID, message));
    // What can't be walked isn't loaded: the engine's parser takes more, and might find names in it.
    let Ok(tensors) = external::tensors(&fetched.path) else {
        return refused("the file is no ONNX model that the engine can load: it doesn't read as one".to_owned());
    };
    let marks = verify::external_marks(&fetched.path).unwrap_or(usize::MAX);
    if fetched.files.names().next().is_none() && !tensors.is_empty() {
        return refused(
            "the model keeps its weights in other files (external data): name them in model.files, or put them into the model's file"
                .to_owned(),
        );
    }
    if marks > tensors.len() {
        return refused("the model names other files at a place where models have none".to_owned());
    }
    let beside = |name: &str| {
        let own = fetched.files.names().next().and_then(|first| first.rsplit_once('/'));
        own.map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/{name}"))
    };
    for tensor in &tensors {
        let Some(path) = fetched.files.path(&beside(&tensor.location)).filter(|_| files::plain(&tensor.location))
        else {
            return refused(format!(
                "the model keeps weights in the file {:?}, which isn't among model.files: add it with its digest",
                tensor.location
            ));
        };
        if !external::size(&path).is_ok_and(|size| external::within(tensor, size)) {
            return refused(format!("the model names bytes of {:?} beyond its end", tensor.location));
        }
    }
    Ok(fetched)
}

/// Removes what a broken transfer left.
pub(crate) fn remove_quietly(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "a partial file stays");
    }
}
