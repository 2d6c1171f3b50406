//! Trace files.
//!
//! CSV, gzipped if the name ends in `.gz`, with a header: `count` alone (requests for each bin; its width is in the name
//! as `per_s` or `per_10s`, or given), `t_s` with `count` or a `rate` column, or `t_s` with anything else: one row for
//! each request.

use crate::random::Random;
use crate::trace::Trace;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A file's content before it is scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The file's name, without its endings.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Seconds of each request.
    Instants(Vec<f64>),
    /// Requests in bins of so many seconds.
    Counts(f64, Vec<f64>),
    /// Mean rates over bins of so many seconds.
    Rates(f64, Vec<f64>),
}

/// How a file is made into a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Hours of the file (after `time`) that are left out at its start.
    pub from_hours: f64,
    /// Hours that are taken.
    pub hours: f64,
    /// Mean requests per second wanted; absent: times `rate`.
    pub mean: Option<f64>,
    /// Factor on the rate.
    pub rate: f64,
    /// Factor on time: 0.5 plays it in half the time, at twice the rate.
    pub time: f64,
}

/// Reads a file. `bin` is the width of bins in seconds, where the file doesn't tell.
///
/// # Errors
/// If it can't be read, or has a row that is no number.
pub fn read(path: &Path, bin: Option<f64>) -> Result<Recorded> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("can't open {shown}"))?;
    let name = path.file_name().and_then(|name| name.to_str()).context("a file name in UTF-8")?;
    let packed = name.ends_with(".gz");
    let reader: Box<dyn Read> = if packed { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv");
    let mut lines = BufReader::new(reader).lines();
    let header = lines.next().context("the file is empty")??;
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate() {
        let line = line?;
        let fields: Vec<f64> = line.split(',').take(2).map(|field| field.trim().parse().unwrap_or(f64::NAN)).collect();
        ensure!(fields.first().is_some_and(|f| f.is_finite()), "{shown}: row {} is no number: {line}", index + 2);
        rows.push(fields);
    }
    ensure!(!rows.is_empty(), "{shown} has no rows");
    let columns: Vec<&str> = header.split(',').map(str::trim).collect();
    Ok(Recorded { name: name.to_owned(), content: content(&columns, &rows, bin.or_else(|| bin_of(name)))? })
}

fn content(columns: &[&str], rows: &[Vec<f64>], bin: Option<f64>) -> Result<Content> {
    let second = columns.get(1).copied().unwrap_or_default();
    let values = || -> Result<Vec<f64>> {
        let values: Vec<f64> = rows.iter().map(|row| row.get(1).copied().unwrap_or(f64::NAN)).collect();
        ensure!(values.iter().all(|value| value.is_finite() && *value >= 0.0), "column {second} has gaps");
        Ok(values)
    };
    let step = || bin.unwrap_or_else(|| if rows.len() > 1 { rows[1][0] - rows[0][0] } else { 1.0 }).max(1e-3);
    match (columns.first().copied().unwrap_or_default(), second) {
        ("count", _) => Ok(Content::Counts(bin.unwrap_or(1.0), rows.iter().map(|row| row[0].max(0.0)).collect())),
        ("t_s", "count") => Ok(Content::Counts(step(), values()?)),
        ("t_s", rate) if rate.starts_with("rate") => Ok(Content::Rates(step(), values()?)),
        ("t_s", _) => {
            let mut instants: Vec<f64> = rows.iter().map(|row| row[0]).collect();
            instants.sort_by(f64::total_cmp);
            let first = instants[0];
            instants.iter_mut().for_each(|at| *at -= first);
            Ok(Content::Instants(instants))
        }
        (other, _) => bail!("columns must begin with count or t_s, not {other}"),
    }
}

fn bin_of(name: &str) -> Option<f64> {
    let digits = name.rsplit_once("_per_")?.1.strip_suffix('s')?;
    if digits.is_empty() { Some(1.0) } else { digits.parse().ok() }
}

impl Recorded {
    /// The trace. Rates below the file's are thinned, request by request; rates above it, and bins wider than a second,
    /// are drawn anew from the scaled rate (Poisson): what the file knows of chance within a bin is kept only where it
    /// isn't scaled up.
    #[must_use]
    pub fn trace(&self, scale: Scale, seed: u64) -> Trace {
        let rates = self.rates(scale.time);
        let from = ((scale.from_hours * 3_600.0) as usize).min(rates.len());
        let to = (from + (scale.hours * 3_600.0) as usize).min(rates.len());
        let mean = rates[from..to].iter().sum::<f64>() / (to - from).max(1) as f64;
        let factor = scale.mean.map_or(scale.rate, |wanted| wanted / mean.max(1e-12));
        let mut random = Random::new(seed, 0x7ace);
        let counts = rates[from..to].iter().map(|rate| self.draw(*rate, factor, scale.time, &mut random)).collect();
        let note = format!(
            "hours {:.1} to {:.1}; rate × {factor:.4}, time × {}; {}",
            from as f64 / 3_600.0,
            to as f64 / 3_600.0,
            scale.time,
            if self.counted(scale.time) && factor <= 1.0 { "thinned" } else { "drawn anew from the scaled rate" }
        );
        let mut trace = Trace::new(&self.name, counts, &note);
        if let (Content::Instants(instants), true) = (&self.content, factor == 1.0 && scale.time == 1.0) {
            let inside = instants.iter().map(|at| at - from as f64);
            trace.instants = inside.filter(|at| *at >= 0.0 && *at < (to - from) as f64).collect();
        }
        trace
    }

    /// Whether a second's figure is a number of requests.
    fn counted(&self, time: f64) -> bool {
        time == 1.0 && matches!(&self.content, Content::Instants(_) | Content::Counts(1.0, _))
    }

    fn draw(&self, rate: f64, factor: f64, time: f64, random: &mut Random) -> u32 {
        if self.counted(time) && factor <= 1.0 {
            return if factor == 1.0 { rate.round() as u32 } else { random.thinned(rate.round() as u32, factor) };
        }
        random.poisson(rate * factor)
    }

    /// Requests in each second.
    fn rates(&self, time: f64) -> Vec<f64> {
        match &self.content {
            Content::Instants(instants) => {
                let last = instants.last().copied().unwrap_or(0.0) * time;
                let mut rates = vec![0.0; last as usize + 1];
                instants.iter().for_each(|at| rates[(at * time) as usize] += 1.0);
                rates
            }
            Content::Counts(bin, counts) => spread(bin * time, counts.iter().map(|count| count / (bin * time)), false),
            Content::Rates(bin, rates) => spread(bin * time, rates.iter().map(|rate| rate / time), true),
        }
    }
}

/// Rates by second from rates by bin; `smooth`: on lines between the middles of bins.
fn spread(bin: f64, rates: impl Iterator<Item = f64>, smooth: bool) -> Vec<f64> {
    let rates: Vec<f64> = rates.collect();
    let seconds = (rates.len() as f64 * bin) as usize;
    let last = rates.len().saturating_sub(1);
    let at = |second: usize| {
        if bin < 1.0 {
            // Narrow bins: all that lie in the second.
            let (first, end) = ((second as f64 / bin) as usize, ((second + 1) as f64 / bin) as usize);
            return rates[first.min(last)..end.clamp(first.min(last) + 1, last + 1)].iter().sum::<f64>() * bin;
        }
        if !smooth {
            return rates[((second as f64 / bin) as usize).min(last)];
        }
        let place = ((second as f64 + 0.5) / bin - 0.5).max(0.0);
        let (left, part) = ((place as usize).min(last), place.fract());
        rates[left] * (1.0 - part) + rates[(left + 1).min(last)] * part
    };
    (0..seconds).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS_IS: Scale = Scale { from_hours: 0.0, hours: 1.0, mean: None, rate: 1.0, time: 1.0 };

    fn written(name: &str, text: &str) -> Recorded {
        let path = std::env::temp_dir().join(format!("millrace-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let recorded = read(&path, None).unwrap();
        std::fs::remove_file(path).unwrap();
        recorded
    }

    #[test]
    fn counts_per_second_are_kept_as_they_are() {
        let trace = written("a_per_s.csv", "count\n3\n0\n7\n").trace(AS_IS, 1);
        assert_eq!(trace.counts, [3, 0, 7]);
    }

    #[test]
    fn ten_seconds_are_spread() {
        let recorded = written("b_per_10s.csv", "count\n1000\n0\n");
        assert_eq!(recorded.content, Content::Counts(10.0, vec![1_000.0, 0.0]));
        let trace = recorded.trace(AS_IS, 1);
        assert_eq!(trace.seconds(), 20);
        let first: u32 = trace.counts[..10].iter().sum();
        assert!((880..1_120).contains(&first), "{first}");
        assert_eq!(trace.counts[10..], [0; 10]);
    }

    #[test]
    fn instants_keep_their_place_unless_scaled() {
        let recorded = written("c.csv", "t_s,tokens\n10.0,5\n10.5,6\n12.25,7\n");
        let trace = recorded.trace(AS_IS, 1);
        assert_eq!(
            (trace.counts.as_slice(), trace.instants.as_slice()),
            ([2, 0, 1].as_slice(), [0.0, 0.5, 2.25].as_slice())
        );
        assert!(recorded.trace(Scale { mean: Some(40.0), ..AS_IS }, 1).total() > 60);
    }

    #[test]
    fn rates_are_scaled_to_a_mean_and_in_time() {
        let recorded = written("d.csv", "t_s,rate_rps\n0,100\n600,300\n1200,200\n");
        let trace = recorded.trace(Scale { mean: Some(50.0), ..AS_IS }, 1);
        assert_eq!(trace.seconds(), 1_800);
        assert!((trace.mean() - 50.0).abs() < 1.0, "{}", trace.mean());
        let quick = recorded.trace(Scale { time: 0.5, ..AS_IS }, 1);
        assert_eq!(quick.seconds(), 900);
        assert!((quick.mean() - 400.0).abs() < 10.0, "{}", quick.mean());
    }

    #[test]
    fn nonsense_is_refused() {
        let path = std::env::temp_dir().join(format!("millrace-{}-bad.csv", std::process::id()));
        std::fs::write(&path, "count\nthree\n").unwrap();
        assert!(read(&path, None).unwrap_err().to_string().contains("row 2"));
        std::fs::remove_file(path).unwrap();
    }
}
