//! Stretches of speech from probabilities of frames: the rules of Silero's `get_speech_timestamps`.

use crate::pipeline::value::{Segment, Series};
use millrace_crds::{self as crds, Duration};

/// A speechSegments step.
pub struct SpeechStep {
    threshold: f64,
    end_threshold: f64,
    min_speech: f64,
    min_silence: f64,
    padding: f64,
}

/// A stretch, in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    start: f64,
    end: f64,
}

impl SpeechStep {
    /// Reads the manifest.
    ///
    /// # Errors
    /// A duration that is none.
    pub fn compile(spec: &crds::SpeechSegments) -> Result<Self, String> {
        let seconds = |name: &str, duration: &Duration| {
            let span = duration
                .to_std()
                .ok_or_else(|| format!("postprocess: speechSegments.{name}: {duration} is no duration"))?;
            Ok::<f64, String>(span.as_secs_f64())
        };
        Ok(Self {
            threshold: spec.threshold,
            end_threshold: spec.end_threshold.unwrap_or((spec.threshold - 0.15).max(0.01)),
            min_speech: seconds("minSpeech", &spec.min_speech)?,
            min_silence: seconds("minSilence", &spec.min_silence)?,
            padding: seconds("padding", &spec.padding)?,
        })
    }

    /// Finds the stretches, in seconds.
    #[must_use]
    pub fn segments(&self, series: &Series) -> Vec<Segment> {
        let rate = f64::from(series.rate);
        let mut stretches = self.find(series, rate);
        pad(&mut stretches, self.padding * rate, count(series.length));
        stretches.into_iter().map(|stretch| Segment { start: stretch.start / rate, end: stretch.end / rate }).collect()
    }

    fn find(&self, series: &Series, rate: f64) -> Vec<Stretch> {
        let long_enough = |start: f64, end: f64| end - start > self.min_speech * rate;
        let mut found = Vec::new();
        let mut start: Option<f64> = None;
        let mut silent_since: Option<f64> = None;
        for (at, &score) in series.scores.iter().enumerate() {
            let (here, score) = (count(at * series.frame), f64::from(score));
            if score >= self.threshold {
                silent_since = None;
                start = start.or(Some(here));
            } else if score < self.end_threshold
                && let Some(begun) = start
            {
                let end = *silent_since.get_or_insert(here);
                if here - end >= self.min_silence * rate {
                    if long_enough(begun, end) {
                        found.push(Stretch { start: begun, end });
                    }
                    (start, silent_since) = (None, None);
                }
            }
        }
        let end = count(series.length);
        found.extend(start.filter(|&start| long_enough(start, end)).map(|start| Stretch { start, end }));
        found
    }
}

/// Widens stretches; two that are near share the silence between them.
fn pad(stretches: &mut [Stretch], padding: f64, length: f64) {
    if let Some(first) = stretches.first_mut() {
        first.start = (first.start - padding).max(0.0).trunc();
    }
    for at in 0..stretches.len() {
        let Some(next) = stretches.get(at + 1).copied() else {
            stretches[at].end = (stretches[at].end + padding).min(length).trunc();
            return;
        };
        let silence = next.start - stretches[at].end;
        if silence < 2.0 * padding {
            let half = (silence / 2.0).floor();
            stretches[at].end += half;
            stretches[at + 1].start = (next.start - half).max(0.0).trunc();
        } else {
            stretches[at].end = (stretches[at].end + padding).min(length).trunc();
            stretches[at + 1].start = (next.start - padding).max(0.0).trunc();
        }
    }
}

/// Numbers of samples are exact in 64-bit floats.
#[allow(clippy::cast_precision_loss)]
fn count(samples: usize) -> f64 {
    samples as f64
}
