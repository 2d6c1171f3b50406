//! Raw inputs, seeded as well, and what the reference in Python says of them.

use crate::{
    case::{Body, Model},
    tensor::{Tensor, Values},
};
use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use millrace_testbed::exec::output_with_input;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::process::Command;

/// What raw texts are made of.
const WORDS: [&str; 40] = [
    "the", "of", "and", "a", "to", "in", "is", "it", "you", "that", "he", "was", "for", "on", "are", "with", "as",
    "they", "be", "at", "one", "have", "this", "from", "or", "had", "by", "hot", "word", "but", "what", "some", "we",
    "can", "out", "other", "were", "all", "there", "when",
];

/// Width and height of pictures, as a small camera takes them.
const SIZE: [u32; 2] = [640, 480];

/// Raw inputs of a model, with the answers of `reference`: it reads a list of them in base64, and prints their numbers.
pub fn bodies(model: Model, reference: &mut Command) -> Result<Vec<Body>> {
    let mut random = StdRng::seed_from_u64(7);
    let raw: Vec<Bytes> = match model {
        Model::RawImage => (0..model.bodies()).map(|_| picture(&mut random)).collect::<Result<_>>()?,
        _ => (0..model.bodies()).map(|_| text(&mut random)).collect(),
    };
    let encoded: Vec<String> = raw.iter().map(|raw| STANDARD.encode(raw)).collect();
    let answers = output_with_input(reference, &serde_json::to_string(&encoded)?)?;
    let answers: Vec<Vec<f32>> = serde_json::from_str(&answers).context("the reference's answers")?;
    let one = |(raw, numbers): (Bytes, Vec<f32>)| {
        let shape = vec![1, numbers.len() as i64];
        let expected = vec![Tensor { name: String::new(), shape, values: Values::Fp32(numbers) }];
        Body { raw, expected, ..Body::default() }
    };
    Ok(raw.into_iter().zip(answers).map(one).collect())
}

fn text(random: &mut StdRng) -> Bytes {
    let words = random.random_range(8..20);
    let words: Vec<&str> = (0..words).map(|_| WORDS[random.random_range(0..WORDS.len())]).collect();
    words.join(" ").into()
}

/// Waves of colour with some noise: neither flat nor without structure, so that it takes as long as a picture of something.
fn picture(random: &mut StdRng) -> Result<Bytes> {
    let waves: Vec<[f32; 3]> = (0..3).map(|_| [0; 3].map(|_| random.random_range(0.005..0.1))).collect();
    let mut pixels = Vec::with_capacity((SIZE[0] * SIZE[1] * 3) as usize);
    for y in 0..SIZE[1] {
        for x in 0..SIZE[0] {
            for [across, down, both] in &waves {
                let (x, y) = (x as f32, y as f32);
                let wave = (x * across).sin() + (y * down).cos() + ((x + y) * both).sin();
                pixels.push((128.0 + wave * 36.0 + random.random_range(-8.0..8.0)) as u8);
            }
        }
    }
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode(&pixels, SIZE[0], SIZE[1], ExtendedColorType::Rgb8)?;
    Ok(file.into())
}
