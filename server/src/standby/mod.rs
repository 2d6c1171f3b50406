//! A standby server: the runtime is up, no model is there, and the first assignment makes it an ordinary server of one model.
//!
//! It takes one assignment in its life. Whoever it served is never followed by another: not in this process, and not in a
//! later one that finds the mark of the first in its folder.

pub mod caller;
mod desk;
mod warm;

pub use desk::Desk;

use crate::{
    config::{self, ModelOptions, ServeOptions, StandbyOptions},
    crew::Crew,
    error::StartError,
    health::{Place, Slot},
    listen,
    load::{Threads, load, read},
    replica::Replica,
    serve::{self, bind, place},
    tls::Tls,
};
use millrace_crds::{
    assignment::{ASSIGNER, Assignment},
    conditions::reason,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long an answer to the operator may take on its way, once the server is about to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The mark that an assignment leaves in the folder for models.
const MARK: &str = "assigned";

fn invalid(message: String) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Waits for an assignment, and serves it until SIGTERM or SIGINT.
///
/// # Errors
/// Why it can't start, or can't serve what it was assigned.
pub async fn run(options: StandbyOptions) -> Result<(), StartError> {
    let folder = tempfile::tempdir().map_err(|error| invalid(format!("no folder for the manifest: {error}")))?;
    let serving = serving(&options, folder.path());
    let (library, gpu, scratch) = (config::ort_library(&serving.model), options.gpu, folder.path().to_owned());
    tokio::task::spawn_blocking(move || warm::up(&library, gpu, &scratch))
        .await
        .map_err(|_| invalid("loading the runtime broke off".to_owned()))??;
    live(&options, &serving, async || load(&keyed(&serving)?).await).await
}

/// The pool's keys are shown to no store that the assigned service itself would show none.
fn keyed(serving: &ServeOptions) -> Result<ServeOptions, StartError> {
    let spec = read(&serving.model)?.spec;
    let named = spec.model.is_some_and(|model| model.credentials.is_some());
    let credentials = serving.model.credentials.clone().filter(|_| named);
    Ok(ServeOptions { model: ModelOptions { credentials, ..serving.model.clone() }, ..serving.clone() })
}

/// The same with what `load` makes of the manifest and stores that an assignment brings, which lie where `serving` says.
///
/// # Errors
/// As [`run`].
pub async fn live(
    options: &StandbyOptions,
    serving: &ServeOptions,
    load: impl AsyncFnOnce() -> Result<(Arc<Replica>, Threads), StartError>,
) -> Result<(), StartError> {
    let desk = Arc::new(Desk::new(unmarked(&options.cache_dir)?));
    let slot = Place::of_standby();
    let listener = bind(&options.assign_address).await?;
    tracing::info!(address = place(&listener), "assignment");
    let tls = Arc::new(Tls::only(options.client_ca.clone(), ASSIGNER)?);
    let (end, ending) = watch::channel(false);
    let door = Arc::clone(&desk);
    let door = tokio::spawn(listen::serve(listener, Crew::here(), Some(tls), ending, move || {
        let door = Arc::clone(&door);
        move |request| Arc::clone(&door).answer(request)
    }));
    let teller = tokio::spawn(tell(Arc::clone(&desk), Arc::clone(&slot)));
    let served = serve::probed(serving, &slot, async {
        write(&desk.taken().await, &serving.model)?;
        load().await
    })
    .await;
    teller.abort();
    if let Err(error) = &served {
        desk.fail(error.clone());
    }
    let _ = end.send(true);
    // The operator should hear why; if it doesn't listen, it sees the end of the pod.
    let _ = tokio::time::timeout(LAST_WORDS, door).await;
    served
}

/// Tells the operator that requests are taken.
async fn tell(desk: Arc<Desk>, slot: Slot) {
    let startup = slot.filled().await.facts.startup.clone();
    desk.serve(startup);
}

/// How what is assigned is served: as any server's model, from files below `folder`.
#[must_use]
pub fn serving(options: &StandbyOptions, folder: &Path) -> ServeOptions {
    ServeOptions {
        model: ModelOptions {
            manifest: folder.join("manifest.yaml"),
            stores: Some(folder.join("stores.yaml")),
            credentials: options.credentials.clone(),
            model_file: None,
            variant_file: Vec::new(),
            ort_library: options.ort_library.clone(),
            cache_dir: Some(options.cache_dir.clone()),
            node_cache: None,
            node_cache_limit: 0,
        },
        variant: None,
        wire: options.wire.clone(),
        grpc_address: String::new(),
        client_ca: Some(options.client_ca.clone()),
    }
}

fn write(assignment: &Assignment, files: &ModelOptions) -> Result<(), StartError> {
    let Assignment { manifest, stores } = assignment;
    let failed = |error: std::io::Error| invalid(format!("the assignment can't be kept: {error}"));
    std::fs::write(&files.manifest, manifest).map_err(failed)?;
    files.stores.iter().try_for_each(|path| std::fs::write(path, stores)).map_err(failed)
}

/// Where the mark will be, if there is none yet.
fn unmarked(folder: &Path) -> Result<std::path::PathBuf, StartError> {
    std::fs::create_dir_all(folder).map_err(|error| invalid(format!("the cache can't be made: {error}")))?;
    let mark = folder.join(MARK);
    if mark.exists() {
        return Err(invalid("this folder has served somebody: a standby server starts in a fresh one".to_owned()));
    }
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Args, Command};
    use clap::Parser as _;

    #[test]
    fn keys_are_used_for_a_model_that_names_some_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["server", "standby", "--client-ca", "ca", "--cache-dir", "cache", "--credentials", "keys"];
        let Command::Standby(options) = Args::try_parse_from(words).unwrap().command else { panic!() };
        let serving = serving(&options, folder.path());
        for (credentials, expected) in [("", None), (", credentials: {secretName: a}", Some("keys".into()))] {
            let manifest = format!(
                "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: a}}\nspec: {{model: {{uri: 's3://b/m.onnx'{credentials}}}}}\n"
            );
            write(&Assignment { manifest, stores: "[]".to_owned() }, &serving.model).unwrap();
            assert_eq!(keyed(&serving).unwrap().model.credentials, expected, "{credentials}");
        }
    }
}
