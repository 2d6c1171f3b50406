//! The main job: a manifest becomes a model that answers, and its answers are the reference's.

use crate::{magika, product};
use millrace_tests::{files, model};
use std::collections::BTreeSet;

/// Inputs at the edges of the model's rules, made here since nobody keeps such files.
fn edges() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("short text", b"abc".to_vec()),
        ("short binary", vec![0xff, 0xfe, 0x00]),
        ("only white space", b" \t\r\n\x0b\x0c".repeat(40)),
        ("seven bytes after white space", [b" ".repeat(100), b"1234567".to_vec()].concat()),
        ("over 1 MiB", b"fn main() { println!(\"hello\"); }\n".repeat(40_000)),
    ]
}

#[test]
fn real_files_get_the_answers_of_the_reference() {
    let service = magika();
    let bed = &product().bed;
    let folder = bed.state.folder.join("edges");
    std::fs::create_dir_all(&folder).unwrap();
    let mut paths = files::corpus(bed).unwrap();
    for (name, bytes) in edges() {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        paths.push(path);
    }
    let expected = model::magika_answers(bed, &paths).unwrap();
    let labels: BTreeSet<&str> = expected.iter().filter_map(|answer| answer["label"].as_str()).collect();
    assert!(paths.len() >= 50 && labels.len() >= 30, "{} files of {} types", paths.len(), labels.len());

    let mut faults = Vec::new();
    for (path, wanted) in paths.iter().zip(&expected) {
        let answer = service.process(&std::fs::read(path).unwrap()).unwrap();
        let found = answer.json();
        let near = (found["score"].as_f64().unwrap_or(9.0) - wanted["score"].as_f64().unwrap()).abs() < 1e-4;
        if answer.status != 200 || found["label"] != wanted["label"] || !near {
            faults.push(format!("{}: {} {found}, the reference says {wanted}", path.display(), answer.status));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), paths.len(), faults.join("\n"));
    println!("{} files of {} types agree with the reference", paths.len(), labels.len());
}

#[test]
fn status_says_where_to_call_and_what_serves() {
    let service = magika();
    let status = service.get().unwrap()["status"].clone();
    assert_eq!(status["url"], format!("{}/team-a/magika", product().url()));
    assert_eq!(status["traffic"][0]["weight"], 100, "{status}");
    let wide = product().bed.kubectl(&["-n", "team-a", "get", "infs", "magika"]).unwrap();
    for column in ["READY", "REASON", "URL", "REPLICAS", "POOLS"] {
        assert!(wide.contains(column), "{wide}");
    }
}

#[test]
fn the_release_is_small_at_rest() {
    magika();
    for component in ["operator", "gateway"] {
        for pod in product()
            .bed
            .list(&["-n", "millrace-system", "pods", "-l", &format!("app.kubernetes.io/component={component}")])
            .unwrap()
        {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let mebibytes = millrace_tests::resident_mebibytes(
                &format!("millrace-{component}"),
                pod["metadata"]["uid"].as_str().unwrap(),
            );
            println!("{name}: {mebibytes:?} MiB resident");
            assert!(mebibytes.is_some_and(|found| found < 64.0), "{name}: {mebibytes:?}");
        }
    }
}
