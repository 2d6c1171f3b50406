//! WAV and FLAC to mono samples. Lengths are checked before anything is decoded.

use crate::error::{Error, Kind};
use claxon::{FlacReader, FlacReaderOptions};
use hound::{SampleFormat, WavReader};
use std::{io::Cursor, panic};

/// Sample rates from a telephone's to a laboratory's.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;
const MAX_CHANNELS: u32 = 64;
/// The limit in seconds is one in samples too, at this rate: a small file of a higher one would be large once decoded.
const FULL_RATE: u32 = 48_000;

/// Samples of one channel, from -1 to 1.
#[derive(Debug, PartialEq)]
pub struct Mono {
    /// Samples per second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<f32>,
}

/// What a header says.
#[derive(Clone, Copy)]
struct Header {
    rate: u32,
    channels: u32,
    /// Samples of each channel.
    length: u64,
}

/// Decodes a file and averages its channels.
///
/// # Errors
/// 400: no such format, broken, or cut off. 422: longer than `max_seconds`, or of a kind that isn't taken.
pub fn read(body: &[u8], max_seconds: u32) -> Result<Mono, Error> {
    let decode = match body {
        [b'R', b'I', b'F', b'F', ..] => wav,
        [b'f', b'L', b'a', b'C', ..] => flac,
        _ => return Err(Error::invalid("the body is no WAV or FLAC audio")),
    };
    // A decoder that panics on a file refuses it. Nothing of ours is shared with it.
    let mono = panic::catch_unwind(|| decode(body, max_seconds))
        .unwrap_or_else(|_| Err(Error::invalid("the audio can't be decoded")))?;
    if mono.samples.is_empty() {
        return Err(Error::invalid("the audio holds no samples"));
    }
    Ok(mono)
}

impl Header {
    fn check(self, max_seconds: u32) -> Result<(), Error> {
        let Header { rate, channels, length } = self;
        if !RATES.contains(&rate) || channels == 0 || channels > MAX_CHANNELS {
            return Err(unprocessable(format!(
                "the audio has {channels} channels of {rate} samples a second; 1 to {MAX_CHANNELS} channels of {} to {} are taken",
                RATES.start(),
                RATES.end()
            )));
        }
        if length > most(max_seconds, rate) {
            return Err(too_long(max_seconds, length, rate));
        }
        Ok(())
    }
}

/// Samples that audio of a rate may have.
fn most(max_seconds: u32, rate: u32) -> u64 {
    u64::from(max_seconds) * u64::from(rate.min(FULL_RATE))
}

fn too_long(max_seconds: u32, length: u64, rate: u32) -> Error {
    unprocessable(format!(
        "the audio has {length} samples or more, at {rate} a second; audio.maxSeconds of this service takes {max_seconds} seconds (of {FULL_RATE} samples at most)"
    ))
}

fn unprocessable(message: String) -> Error {
    Error::new(Kind::Unprocessable, message)
}

fn wav(body: &[u8], max_seconds: u32) -> Result<Mono, Error> {
    let failed = |error: hound::Error| {
        tracing::debug!(%error, "wav");
        match error {
            hound::Error::Unsupported | hound::Error::TooWide | hound::Error::InvalidSampleFormat => {
                unprocessable("the WAV audio is of a kind that isn't supported: use PCM or 32-bit floats".to_owned())
            }
            _ => Error::invalid("the WAV audio can't be read: it is broken or cut off"),
        }
    };
    let mut reader = WavReader::new(Cursor::new(body)).map_err(failed)?;
    let spec = reader.spec();
    let channels = u32::from(spec.channels);
    Header { rate: spec.sample_rate, channels, length: reader.duration().into() }.check(max_seconds)?;
    if u64::from(reader.len()) * u64::from(spec.bits_per_sample) > body.len() as u64 * 8 {
        return Err(Error::invalid("the WAV audio can't be read: it is cut off"));
    }
    let mut mix = Mix::new(channels, reader.len());
    match spec.sample_format {
        SampleFormat::Float => {
            for sample in reader.samples::<f32>() {
                mix.push(sample.map_err(failed)?);
            }
        }
        SampleFormat::Int => {
            let scale = scale(spec.bits_per_sample.into());
            for sample in reader.samples::<i32>() {
                mix.push(number(sample.map_err(failed)?) * scale);
            }
        }
    }
    Ok(Mono { rate: spec.sample_rate, samples: mix.samples })
}

fn flac(body: &[u8], max_seconds: u32) -> Result<Mono, Error> {
    let failed = |error: claxon::Error| {
        tracing::debug!(%error, "flac");
        Error::invalid("the FLAC audio can't be read: it is broken or cut off")
    };
    let options = FlacReaderOptions { metadata_only: false, read_vorbis_comment: false };
    let mut reader = FlacReader::new_ext(Cursor::new(body), options).map_err(failed)?;
    let info = reader.streaminfo();
    let declared = info.samples.filter(|&length| length > 0);
    Header { rate: info.sample_rate, channels: info.channels, length: declared.unwrap_or(0) }.check(max_seconds)?;
    let most = most(max_seconds, info.sample_rate);
    let scale = scale(info.bits_per_sample);
    let mut mix = Mix::new(info.channels, 0);
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Some(block) = blocks.read_next_or_eof(buffer).map_err(failed)? {
        if block.channels() != info.channels {
            return Err(Error::invalid("the FLAC audio can't be read: its number of channels changes"));
        }
        for at in 0..block.duration() {
            for channel in 0..info.channels {
                mix.push(number(block.sample(channel, at)) * scale);
            }
        }
        let length = mix.samples.len() as u64;
        if length > most {
            return Err(too_long(max_seconds, length, info.sample_rate));
        }
        buffer = block.into_buffer();
    }
    if declared.is_some_and(|length| mix.samples.len() as u64 != length) {
        return Err(Error::invalid("the FLAC audio can't be read: it is cut off"));
    }
    Ok(Mono { rate: info.sample_rate, samples: mix.samples })
}

/// Full scale to 1.
fn scale(bits: u32) -> f32 {
    // A power of two, which is exact.
    (-f32::from(u8::try_from(bits.clamp(1, 32) - 1).unwrap_or(31))).exp2()
}

/// Samples of up to 24 bits are exact as floats; wider ones are rounded, as the reference rounds them.
#[allow(clippy::cast_precision_loss)]
fn number(sample: i32) -> f32 {
    sample as f32
}

/// Averages channels as their samples come, one after another.
struct Mix {
    channels: u32,
    count: f32,
    at: u32,
    sum: f32,
    samples: Vec<f32>,
}

impl Mix {
    fn new(channels: u32, total: u32) -> Self {
        let room = usize::try_from(total / channels).unwrap_or(0);
        Self {
            channels,
            count: number(i32::try_from(channels).unwrap_or(1)),
            at: 0,
            sum: 0.0,
            samples: Vec::with_capacity(room),
        }
    }

    fn push(&mut self, sample: f32) {
        self.sum += sample;
        self.at += 1;
        if self.at == self.channels {
            self.samples.push(if self.channels == 1 { self.sum } else { self.sum / self.count });
            (self.at, self.sum) = (0, 0.0);
        }
    }
}
