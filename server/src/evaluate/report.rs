//! What was measured, as a table, as JSON, and as the lines of a manifest.

use super::{Row, invalid};
use crate::error::StartError;
use millrace_crds::Model;
use serde_json::{Value, json};

/// Prints to standard output; warnings and errors go to the log.
pub(super) fn print(model: &Model, rows: &[Row<'_>], labelled: bool, as_json: bool) -> Result<(), StartError> {
    let yaml = yaml(model, rows);
    if as_json {
        let whole = json!({
            "heldTo": if labelled { "labels" } else { "model" },
            "minQuality": model.min_quality,
            "measured": rows.iter().map(object).collect::<Vec<_>>(),
            "variants": yaml,
        });
        println!("{}", serde_json::to_string_pretty(&whole).map_err(|error| invalid(error.to_string()))?);
        return Ok(());
    }
    println!("{}\n", held_to(rows, labelled));
    table(rows).iter().for_each(|line| println!("{line}"));
    if rows.len() > 1 {
        println!("\nFor the manifest, under spec.model:\n{yaml}");
    } else {
        println!("\nThe manifest has no variant: `millrace-server quantize` makes one.");
    }
    Ok(())
}

fn held_to(rows: &[Row<'_>], labelled: bool) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let metric = first.score.metric.words();
    let count = first.score.count;
    if labelled {
        format!("Score: {metric}, by {count} labels. Quality: the score over the model's.")
    } else {
        format!(
            "Score: {metric}, by the model's own answers to {count} inputs (the data have no labels). Quality: the same."
        )
    }
}

fn object(row: &Row<'_>) -> Value {
    let measured = &row.measured;
    json!({
        "variant": row.variant.map(|variant| variant.name.to_string()),
        "precision": row.variant.map(|variant| variant.precision),
        "sha256": measured.sha256, "fileBytes": measured.file_bytes, "memoryBytes": measured.memory_bytes,
        "latency": measured.latency, "throughput": measured.throughput, "score": row.score, "quality": row.quality,
    })
}

/// Lines of the table, columns under each other.
fn table(rows: &[Row<'_>]) -> Vec<String> {
    let head =
        ["variant", "precision", "file", "memory", "p50", "p99", "throughput", "score", "quality"].map(str::to_owned);
    let cells: Vec<[String; 9]> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let joined = |row: &[String; 9]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(joined).collect()
}

fn line(row: &Row<'_>) -> [String; 9] {
    let measured = &row.measured;
    let millis = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let throughput = &measured.throughput;
    [
        row.variant.map_or_else(|| "(model)".to_owned(), |variant| variant.name.to_string()),
        row.variant.map_or_else(String::new, |variant| format!("{:?}", variant.precision)),
        mebibytes(measured.file_bytes),
        measured.memory_bytes.map_or_else(|| "?".to_owned(), mebibytes),
        millis(measured.latency.p50),
        millis(measured.latency.p99),
        format!("{:.0}/s ({} at once, batches of {:.1})", throughput.per_second, throughput.at_once, throughput.batch),
        match row.score.error {
            Some(error) => format!("{:.4} (error {error:.3e})", row.score.value),
            None => format!("{:.4}", row.score.value),
        },
        row.quality.to_string(),
    ]
}

/// Bytes for people.
#[must_use]
pub fn mebibytes(bytes: u64) -> String {
    // One decimal is shown.
    #[allow(clippy::cast_precision_loss)]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

/// The variants as a manifest takes them. One that is slower than the model here is marked: it may be fast elsewhere.
fn yaml(model: &Model, rows: &[Row<'_>]) -> String {
    let speed = |row: &Row<'_>| row.measured.throughput.per_second;
    let own = rows.first().map_or(0.0, speed);
    let entry = |row: &Row<'_>| {
        let variant = row.variant?;
        let slower = if speed(row) < own {
            format!(" # slower than the model here: {:.2} times its throughput", speed(row) / own)
        } else {
            String::new()
        };
        Some(format!(
            "  - {{name: {}, uri: {}, sha256: {}, precision: {:?}, quality: {}}}{slower}\n",
            json!(variant.name),
            json!(variant.uri),
            json!(row.measured.sha256),
            variant.precision,
            row.quality
        ))
    };
    let entries: String = rows.iter().filter_map(entry).collect();
    let least = model.min_quality.map(|least| format!("minQuality: {least}\n")).unwrap_or_default();
    format!("variants:\n{entries}{least}")
}
