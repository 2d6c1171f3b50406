//! A uri and the platform's stores to a place that may be read.

use crate::error::StartError;
use millrace_crds::{Credentials, conditions::reason, store::Store};
use std::path::Path;

/// A place to read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How.
    pub scheme: Scheme,
    /// The store; its name is the bucket or host.
    pub store: Store,
    /// Path below it, without a leading slash.
    pub path: String,
}

/// Protocols that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// S3.
    S3,
    /// HTTPS.
    Https,
}

/// Reads the list of stores.
///
/// # Errors
/// The file can't be read or isn't a list of stores.
pub fn read_stores(path: Option<&Path>) -> Result<Vec<Store>, StartError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let invalid =
        |error: String| StartError::new(reason::INVALID, format!("the list of stores can't be read: {error}"));
    let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))
}

impl Source {
    /// Looks the authority of a uri up.
    ///
    /// # Errors
    /// `UnknownStore`, or a scheme that this release doesn't read.
    pub fn resolve(uri: &str, stores: &[Store]) -> Result<Self, StartError> {
        let invalid = |message: String| StartError::new(reason::INVALID, message);
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| invalid(format!("{uri} is no uri")))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| invalid(format!("{uri} has no path")))?;
        let kind = match scheme {
            "s3" => Scheme::S3,
            "https" => Scheme::Https,
            "pvc" => return Err(invalid("a pvc uri is mounted: give its file by --model-file".to_owned())),
            other => return Err(invalid(format!("{other} uris are not supported yet: use s3 or https"))),
        };
        if path.is_empty() || path.split('/').any(|part| part == ".." || part == ".") {
            return Err(invalid(format!("the path of {uri} isn't a plain path of a file")));
        }
        let store = stores.iter().find(|store| store.name == authority && store.scheme == scheme).ok_or_else(|| {
            StartError::new(
                reason::UNKNOWN_STORE,
                format!("{scheme}://{authority} is no store of this platform; ask for it to be added to its stores"),
            )
        })?;
        Ok(Self { scheme: kind, store: store.clone(), path: path.to_owned() })
    }

    /// A file of a folder. Its path is made of plain names.
    #[must_use]
    pub fn file(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path.trim_end_matches('/')), ..self.clone() }
    }
}

impl Source {
    /// The uri, as the manifest has it.
    #[must_use]
    pub fn uri(&self) -> String {
        let scheme = match self.scheme {
            Scheme::S3 => "s3",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}/{}", self.store.name, self.path)
    }
}

/// Keys to a store.
#[derive(Clone, Default)]
pub struct Keys {
    /// S3: id, secret, session token.
    pub s3: Option<(String, String, Option<String>)>,
    /// HTTPS: bearer token.
    pub token: Option<String>,
}

impl Keys {
    /// Reads keys from a folder, or from the environment.
    ///
    /// # Errors
    /// `MissingReference`: the manifest names a Secret and half of an S3 key is missing from it.
    pub fn read(folder: Option<&Path>, named: Option<&Credentials>) -> Result<Self, StartError> {
        let key = |name: &str| match folder {
            Some(folder) => std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned()),
            None => std::env::var(name).ok(),
        };
        let (id, secret, token) = (key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"), key("TOKEN"));
        let missing = |what: &str| {
            let secret = named.map_or_else(String::new, |named| format!(" (Secret {})", named.secret_name));
            StartError::new(reason::MISSING_REFERENCE, format!("the store's credentials{secret} have no {what}"))
        };
        let s3 = match (id, secret) {
            (Some(id), Some(secret)) => Some((id, secret, key("AWS_SESSION_TOKEN"))),
            (Some(_), None) => return Err(missing("AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => return Err(missing("AWS_ACCESS_KEY_ID")),
            (None, None) => None,
        };
        if folder.is_some() && s3.is_none() && token.is_none() {
            return Err(missing("AWS_ACCESS_KEY_ID, nor TOKEN"));
        }
        Ok(Self { s3, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let stores = [Store { name: "models".into(), scheme: "s3".into(), ..Store::default() }];
        for (uri, expected) in [
            ("s3://models/a/m.onnx", Ok("a/m.onnx")),
            ("s3://other/m.onnx", Err(reason::UNKNOWN_STORE)),
            ("https://models/m.onnx", Err(reason::UNKNOWN_STORE)),
            ("gs://models/m.onnx", Err(reason::INVALID)),
            ("oci://models/m.onnx", Err(reason::INVALID)),
            ("s3://models/../m.onnx", Err(reason::INVALID)),
            ("s3://models/", Err(reason::INVALID)),
            ("s3://models", Err(reason::INVALID)),
        ] {
            let found = Source::resolve(uri, &stores);
            assert_eq!(found.as_ref().map(|source| &*source.path).map_err(|error| error.reason), expected, "{uri}");
            assert!(found.is_ok_and(|source| source.uri() == uri) || expected.is_err(), "{uri} is told otherwise");
        }
    }

    #[test]
    fn keys() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Keys::read(Some(folder.path()), None);
        assert_eq!(read().err().unwrap().reason, reason::MISSING_REFERENCE);
        std::fs::write(folder.path().join("AWS_ACCESS_KEY_ID"), "id\n").unwrap();
        assert!(read().err().unwrap().message.contains("AWS_SECRET_ACCESS_KEY"));
        std::fs::write(folder.path().join("AWS_SECRET_ACCESS_KEY"), "secret").unwrap();
        assert_eq!(read().unwrap().s3, Some(("id".into(), "secret".into(), None)));
    }
}
