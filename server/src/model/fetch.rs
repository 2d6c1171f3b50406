//! From a store to a file: streamed, hashed on the way, capped, taken up again where it broke off.

use super::{
    guard::Guard,
    ranges::{self, Parts},
    remove_quietly,
    source::{Keys, Scheme, Source},
    verify,
};
use crate::error::StartError;
use futures::StreamExt as _;
use millrace_crds::conditions::reason;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore as _, RetryConfig,
    aws::AmazonS3Builder,
    client::{HttpClient, HttpConnector},
};
use reqwest::{StatusCode, header, redirect};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::io::AsyncWriteExt as _;

/// Larger files are no model that one process serves.
const MAX_BYTES: u64 = 256 << 30;
const ATTEMPTS: u32 = 4;
const REDIRECTS: usize = 3;

/// Why a transfer broke.
enum Broken {
    /// Another attempt may do.
    Maybe(String),
    /// No attempt will do.
    Surely(String),
}

/// A file that is being written.
struct Partial {
    file: tokio::fs::File,
    hasher: Sha256,
    have: u64,
}

/// Fetches to `folder/DIGEST.onnx`.
///
/// # Errors
/// `FetchFailed`, `DigestMismatch`.
pub async fn fetch(
    source: &Source,
    keys: &Keys,
    folder: &Path,
    wanted: Option<&str>,
) -> Result<(PathBuf, String), StartError> {
    let partial = folder.join(format!(".partial-{}", std::process::id()));
    let digest = download(source, keys, &partial, wanted).await?;
    let path = folder.join(format!("{digest}.onnx"));
    place(source, &partial, &path)?;
    Ok((path, digest))
}

/// Fetches one file of a folder to its place; folders on the way are made.
///
/// # Errors
/// `FetchFailed`, `DigestMismatch`.
pub async fn fetch_to(source: &Source, keys: &Keys, path: &Path, wanted: &str) -> Result<(), StartError> {
    let parent = path.parent().ok_or_else(|| failed(source, "it has no place".to_owned()))?;
    std::fs::create_dir_all(parent).map_err(|error| failed(source, format!("no room for it: {error}")))?;
    let partial = parent.join(format!(".partial-{}", std::process::id()));
    download(source, keys, &partial, Some(wanted)).await?;
    place(source, &partial, path)
}

fn failed(source: &Source, message: String) -> StartError {
    StartError::new(reason::FETCH_FAILED, format!("{} can't be fetched: {message}", source.uri()))
}

/// A file has its name only once it is whole and verified.
fn place(source: &Source, partial: &Path, path: &Path) -> Result<(), StartError> {
    std::fs::rename(partial, path).map_err(|error| failed(source, error.to_string()))
}

async fn download(source: &Source, keys: &Keys, partial: &Path, wanted: Option<&str>) -> Result<String, StartError> {
    let failed = |message: String| failed(source, message);
    let guard = Guard::new(&source.store.cidrs).map_err(failed)?;
    remove_quietly(partial);
    let file = tokio::fs::File::create(partial).await.map_err(|error| failed(format!("no room for it: {error}")))?;
    let mut into = Partial { file, hasher: Sha256::new(), have: 0 };
    let mut attempt = 0;
    while let Err(broken) = transfer(source, keys, &guard, &mut into).await {
        attempt += 1;
        match broken {
            Broken::Maybe(error) if attempt < ATTEMPTS => {
                tracing::warn!(attempt, have = into.have, error, "the transfer broke off");
                tokio::time::sleep(Duration::from_millis(250) * 2u32.pow(attempt)).await;
            }
            Broken::Maybe(error) | Broken::Surely(error) => {
                remove_quietly(partial);
                return Err(failed(error));
            }
        }
    }
    into.file.sync_all().await.map_err(|error| failed(error.to_string()))?;
    let digest = verify::hex(&into.hasher.finalize());
    if let Err(error) = verify::compare(&digest, wanted) {
        remove_quietly(partial);
        return Err(error);
    }
    tracing::info!(bytes = into.have, digest, "a file of the model is fetched");
    Ok(digest)
}

async fn transfer(source: &Source, keys: &Keys, guard: &Guard, into: &mut Partial) -> Result<(), Broken> {
    let mut parts = match source.scheme {
        Scheme::S3 => open_s3(source, keys, guard, into.have).await?,
        Scheme::Https => open_https(source, keys, guard, into.have).await?,
    };
    while let Some(part) = parts.next().await {
        let part = part.map_err(Broken::Maybe)?;
        if into.have + part.len() as u64 > MAX_BYTES {
            return Err(Broken::Surely(format!("it is larger than {MAX_BYTES} bytes")));
        }
        into.file.write_all(&part).await.map_err(|error| Broken::Surely(format!("it can't be written: {error}")))?;
        into.hasher.update(&part);
        into.have += part.len() as u64;
    }
    into.file.flush().await.map_err(|error| Broken::Surely(format!("it can't be written: {error}")))
}

/// The client uses the process's cryptography provider, and panics where there is none.
fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost races are fine: somebody else has installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn client(source: &Source, guard: &Guard, plain: bool) -> Result<reqwest::Client, String> {
    let (checked, redirects) = (guard.clone(), if source.scheme == Scheme::S3 { 0 } else { REDIRECTS });
    let policy = redirect::Policy::custom(move |attempt| {
        let safe =
            attempt.url().scheme() == "https" && attempt.url().host_str().is_some_and(|host| checked.allows_host(host));
        if !safe || attempt.previous().len() > redirects {
            attempt.error("the store sends elsewhere, where this server may not go")
        } else {
            attempt.follow()
        }
    });
    install_provider();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(guard.clone())
        .redirect(policy)
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30));
    if plain {
        // A store without TLS needs no certificates: the image may have none.
        builder = builder.tls_certs_only(std::iter::empty());
    } else if let Some(ca) = &source.store.ca {
        let own = reqwest::Certificate::from_pem_bundle(ca.as_bytes())
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or("its `ca` in the platform's stores holds no PEM certificate")?;
        builder = builder.tls_certs_merge(own);
    }
    builder.build().map_err(|error| text(&error))
}

/// An error with its causes, without the URL (it may carry a signature).
fn text(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        all = format!("{all}: {inner}");
        cause = inner.source();
    }
    all
}

#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

async fn open_s3(source: &Source, keys: &Keys, guard: &Guard, from: u64) -> Result<Parts, Broken> {
    let store = &source.store;
    let plain = store.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let client = client(source, guard, plain).map_err(Broken::Surely)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&store.name)
        .with_region(store.region.clone().unwrap_or_else(|| "us-east-1".to_owned()))
        .with_virtual_hosted_style_request(false)
        .with_allow_http(plain)
        .with_retry(RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(5), ..RetryConfig::default() })
        .with_http_connector(Connector(client));
    if let Some(endpoint) = &store.endpoint {
        let host = endpoint.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        if !host.is_some_and(|host| guard.allows_host(&host)) {
            return Err(Broken::Surely("its endpoint has an address that isn't in its cidrs".to_owned()));
        }
        builder = builder.with_endpoint(endpoint);
    }
    builder = match &keys.s3 {
        Some((id, secret, token)) => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(token) = token { builder.with_token(token) } else { builder }
        }
        None => builder.with_skip_signature(true),
    };
    let s3 = builder.build().map_err(|error| Broken::Surely(text(&error)))?;
    let path = object_store::path::Path::parse(&source.path).map_err(|error| Broken::Surely(text(&error)))?;
    let options = GetOptions { range: (from > 0).then_some(GetRange::Offset(from)), ..GetOptions::default() };
    let got = s3.get_opts(&path, options).await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => Broken::Surely("the store has no such object".to_owned()),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Broken::Surely("it refuses the credentials".to_owned())
        }
        other => Broken::Maybe(text(&other)),
    })?;
    let meta = &got.meta;
    if !ranges::are_many(meta.size.saturating_sub(from)) {
        return Ok(got.into_stream().map(|part| part.map_err(|error| text(&error))).boxed());
    }
    // Ranges of one object, also if it is replaced meanwhile.
    let (size, same) = (meta.size, meta.e_tag.clone());
    let s3 = Arc::new(s3);
    Ok(ranges::ranges(from, size, move |range| {
        let (s3, path) = (Arc::clone(&s3), path.clone());
        let options = GetOptions { range: Some(range.into()), if_match: same.clone(), ..GetOptions::default() };
        async move {
            let part = s3.get_opts(&path, options).await.map_err(|error| text(&error))?;
            part.bytes().await.map_err(|error| text(&error))
        }
    }))
}

async fn open_https(source: &Source, keys: &Keys, guard: &Guard, from: u64) -> Result<Parts, Broken> {
    let base = source.store.endpoint.clone().unwrap_or_else(|| format!("https://{}", source.store.name));
    let plain = base.starts_with("http://");
    let url = reqwest::Url::parse(&format!("{}/{}", base.trim_end_matches('/'), source.path))
        .map_err(|error| Broken::Surely(text(&error)))?;
    if !url.host_str().is_some_and(|host| guard.allows_host(host)) {
        return Err(Broken::Surely("its endpoint has an address that isn't in its cidrs".to_owned()));
    }
    let client = client(source, guard, plain).map_err(Broken::Surely)?;
    let token = keys.token.clone();
    let request = move |range: Option<String>| {
        let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        if let Some(range) = range { request.header(header::RANGE, format!("bytes={range}")) } else { request }
    };
    let sent = request((from > 0).then(|| format!("{from}-"))).send().await;
    let response = sent.map_err(|error| {
        // A store that sends elsewhere does so again.
        let broken = if error.is_redirect() { Broken::Surely } else { Broken::Maybe };
        broken(text(&error.without_url()))
    })?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Broken::Maybe(format!("it answers {status}")));
    }
    let expected = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if status != expected {
        return Err(Broken::Surely(format!("it answers {status}")));
    }
    let said = |name| response.headers().get(name).cloned();
    let length = response.content_length().unwrap_or(0);
    // A strong tag proves that ranges are of one file, also if it is replaced meanwhile.
    let tag = said(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    if let Some(tag) = tag
        && ranges::are_many(length)
        && said(header::ACCEPT_RANGES).is_some_and(|unit| unit == "bytes")
    {
        return Ok(ranges::ranges(from, from + length, move |range| {
            let asked = request(Some(format!("{}-{}", range.start, range.end - 1))).header(header::IF_MATCH, &tag);
            async move {
                let response = asked.send().await.map_err(|error| text(&error.without_url()))?;
                match response.status() {
                    StatusCode::PARTIAL_CONTENT => response.bytes().await.map_err(|error| text(&error.without_url())),
                    status => Err(format!("it answers {status} to a range")),
                }
            }
        }));
    }
    Ok(response.bytes_stream().map(|part| part.map_err(|error| text(&error.without_url()))).boxed())
}
