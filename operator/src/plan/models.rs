//! The models of a service, one or several, as one list.

use millrace_crds::{Credentials, Model, NamedModel};

/// What is asked of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSource<'s> {
    /// What steps call it; `None`: it is the only one.
    pub name: Option<&'s str>,
    /// Where it is.
    pub uri: &'s str,
    /// Whether its bytes are pinned by digest.
    pub pinned: bool,
    /// What opens its store.
    pub credentials: Option<&'s Credentials>,
}

/// All models, in the order of the spec.
#[must_use]
pub fn models<'s>(model: Option<&'s Model>, models: &'s [NamedModel]) -> Vec<ModelSource<'s>> {
    let one = model.map(|Model { uri, sha256, files, credentials, .. }| ModelSource {
        name: None,
        uri: uri.as_str(),
        pinned: sha256.is_some() || !files.is_empty(),
        credentials: credentials.as_ref(),
    });
    let several =
        models.iter().map(|NamedModel { name, uri, sha256, files, credentials, max_batch_size: _ }| ModelSource {
            name: Some(name.as_str()),
            uri: uri.as_str(),
            pinned: sha256.is_some() || !files.is_empty(),
            credentials: credentials.as_ref(),
        });
    one.into_iter().chain(several).collect()
}

impl ModelSource<'_> {
    /// It, in a sentence.
    #[must_use]
    pub fn called(&self) -> String {
        self.name.map_or_else(|| "the model".to_owned(), |name| format!("the model {name}"))
    }
}
