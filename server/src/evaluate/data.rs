//! Inputs to measure with, and what their answers should be.
//!
//! A file holds JSON lines `{"input": ..., "expected": ...}` (`label` is another word for `expected`; either may be left
//! out). What `input` is follows from the service's first input step: for bytes, images and audio the path of a file,
//! from where the data file is; for `tokenize` a text; for `records` an object; without input steps the `inputs` of an
//! inference request. A folder holds one input in each file; if every file lies one folder down, those folders' names are
//! the labels.

use crate::{
    error::StartError,
    pipeline::Raw,
    protocol::request::{self, InferRequest},
};
use bytes::Bytes;
use millrace_crds::{Pipeline, PreprocessStep, conditions::reason};
use serde::Deserialize;
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
};

/// An input.
#[derive(Clone, Debug)]
pub struct Item {
    /// What messages call it.
    pub name: String,
    /// What is sent.
    pub body: Body,
    /// What should be answered.
    pub expected: Option<Value>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// To the pipeline.
    Raw(Raw),
    /// To a model without input steps.
    Tensors(InferRequest),
}

/// What the service's first input step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Text,
    Json,
    Tensors,
}

impl Kind {
    fn of(pipeline: &Pipeline) -> Self {
        match pipeline.preprocess.first() {
            None => Self::Tensors,
            Some(PreprocessStep::Tokenize(_)) => Self::Text,
            Some(PreprocessStep::Records(_)) => Self::Json,
            Some(_) => Self::File,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    input: Value,
    #[serde(default, alias = "label")]
    expected: Option<Value>,
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> StartError {
    StartError::new(reason::INVALID, format!("--data: {} can't be read: {error}", path.display()))
}

/// Reads all inputs for a service.
///
/// # Errors
/// The data can't be read, or don't fit the service; the message names the line or file.
pub fn read(path: &Path, pipeline: &Pipeline) -> Result<Vec<Item>, StartError> {
    let kind = Kind::of(pipeline);
    let items = if path.is_dir() { folder(path, kind)? } else { lines(path, kind)? };
    if items.is_empty() {
        return Err(StartError::new(reason::INVALID, format!("--data: {} holds no input", path.display())));
    }
    Ok(items)
}

fn lines(path: &Path, kind: Kind) -> Result<Vec<Item>, StartError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        let name = format!("line {}", at + 1);
        let wrong = |error: String| StartError::new(reason::INVALID, format!("--data: {name}: {error}"));
        let Line { input, expected } =
            serde_json::from_str(line).map_err(|error| wrong(format!("it isn't {{\"input\": ...}}: {error}")))?;
        let body = written(input, kind, beside).map_err(wrong)?;
        Ok(Item { body, expected, name })
    };
    filled.map(read).collect()
}

/// An input as a line holds it.
fn written(input: Value, kind: Kind, beside: &Path) -> Result<Body, String> {
    match (kind, input) {
        (Kind::File, Value::String(path)) => {
            let bytes = std::fs::read(beside.join(&path)).map_err(|error| format!("{path} can't be read: {error}"))?;
            Ok(raw(bytes, false))
        }
        (Kind::File, _) => Err("input must be the path of a file: the service reads bytes, an image or audio".into()),
        (Kind::Text, Value::String(text)) => Ok(raw(text.into_bytes(), false)),
        (Kind::Text | Kind::Json, value) => Ok(raw(value.to_string().into_bytes(), true)),
        (Kind::Tensors, Value::Array(inputs)) => tensors(serde_json::json!({"inputs": inputs}).to_string().as_bytes()),
        (Kind::Tensors, value) => tensors(value.to_string().as_bytes()),
    }
}

fn folder(path: &Path, kind: Kind) -> Result<Vec<Item>, StartError> {
    let mut files = Vec::new();
    walk(path, &mut files).map_err(|error| unreadable(path, error))?;
    files.sort();
    let parts = |file: &Path| file.strip_prefix(path).unwrap_or(file).to_owned();
    let labelled = files.iter().all(|file| parts(file).components().count() == 2);
    let read = |file: &PathBuf| {
        let name = parts(file).display().to_string();
        let bytes = std::fs::read(file).map_err(|error| unreadable(file, error))?;
        let body = match kind {
            Kind::File | Kind::Text => raw(bytes, false),
            Kind::Json => raw(bytes, true),
            Kind::Tensors => {
                tensors(&bytes).map_err(|error| StartError::new(reason::INVALID, format!("--data: {name}: {error}")))?
            }
        };
        let label = name.split('/').next().filter(|_| labelled);
        Ok(Item { body, expected: label.map(Value::from), name })
    };
    files.iter().map(read).collect()
}

/// All files below a folder; names that begin with a dot are left out.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn raw(body: Vec<u8>, json: bool) -> Body {
    Body::Raw(Raw { body: body.into(), json, deadline: None })
}

fn tensors(json: &[u8]) -> Result<Body, String> {
    request::parse(json, Bytes::new()).map(Body::Tensors).map_err(|error| error.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pipeline(step: Value) -> Pipeline {
        serde_json::from_value(json!({"preprocess": [step]})).unwrap()
    }

    fn body(item: &Item) -> (String, bool) {
        let Body::Raw(raw) = &item.body else { panic!("{item:?}") };
        (String::from_utf8(raw.body.to_vec()).unwrap(), raw.json)
    }

    #[test]
    fn lines_are_what_the_service_reads() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "content").unwrap();
        let bytes = pipeline(json!({"bytes": {"head": 4, "tail": 4, "block": 4, "padding": 256}}));
        let texts = pipeline(json!({"tokenize": {"file": "t.json", "maxLength": 8}}));
        let records = pipeline(json!({"records": {"columns": [{"name": "a"}]}}));
        for (pipeline, line, sent) in [
            (&bytes, r#"{"input": "a.txt", "label": "txt"}"#, Ok(("content", false))),
            (&bytes, r#"{"input": "b.txt"}"#, Err("line 2: b.txt can't be read")),
            (&bytes, r#"{"input": 7}"#, Err("line 2: input must be the path of a file")),
            (&texts, r#"{"input": "a.txt"}"#, Ok(("a.txt", false))),
            (&records, r#"{"input": {"a": 1}}"#, Ok((r#"{"a":1}"#, true))),
            (&texts, r#"{"text": "a"}"#, Err("line 2: it isn't {\"input\": ...}")),
        ] {
            let file = folder.path().join("data.jsonl");
            std::fs::write(&file, format!("\n{line}\n")).unwrap();
            match (read(&file, pipeline), sent) {
                (Ok(items), Ok((text, json))) => assert_eq!(body(&items[0]), (text.to_owned(), json), "{line}"),
                (Err(error), Err(says)) => assert!(error.message.contains(says), "{error}"),
                (found, _) => panic!("{line}: {found:?}"),
            }
        }
        let plain: Pipeline = serde_json::from_value(json!({})).unwrap();
        let file = folder.path().join("data.jsonl");
        std::fs::write(
            &file,
            r#"{"input": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [2]}], "expected": [3]}"#,
        )
        .unwrap();
        let items = read(&file, &plain).unwrap();
        assert!(matches!(&items[0].body, Body::Tensors(request) if request.inputs[0].shape == [1, 1]));
        assert_eq!(items[0].expected, Some(json!([3])));
    }

    #[test]
    fn a_folder_of_folders_is_labelled() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = pipeline(json!({"bytes": {"head": 4, "tail": 4, "block": 4, "padding": 256}}));
        assert!(read(folder.path(), &bytes).unwrap_err().message.contains("holds no input"));
        for name in ["dog", "cat", ".git"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("1"), name).unwrap();
        }
        let labels =
            || -> Vec<_> { read(folder.path(), &bytes).unwrap().into_iter().map(|item| item.expected).collect() };
        assert_eq!(labels(), [Some(json!("cat")), Some(json!("dog"))]);
        std::fs::write(folder.path().join("other"), "x").unwrap();
        assert_eq!(labels(), [None, None, None]);
    }
}
