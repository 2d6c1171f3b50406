//! Steps by tables, files that are broken or long, frames with state, and bytes that are anything.

use super::*;
use crate::pipeline::value::Series;
use hound::{SampleFormat, WavSpec, WavWriter};
use millrace_crds::Pipeline as Spec;
use proptest::prelude::*;
use std::io::Cursor;

fn tensor(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.into(), datatype, shape: shape.to_vec() }
}

/// As Silero's voice activity detector.
fn silero() -> Signature {
    Signature {
        inputs: vec![
            tensor("input", Datatype::Fp32, &[-1, -1]),
            tensor("state", Datatype::Fp32, &[2, -1, 3]),
            tensor("sr", Datatype::Int64, &[]),
        ],
        outputs: vec![tensor("output", Datatype::Fp32, &[-1, 1]), tensor("stateN", Datatype::Fp32, &[-1, -1, -1])],
    }
}

const SILERO: &str = r#"{"sampleRate": 8000, "frame": 4, "context": 2, "rateInput": "sr", "state": [{"input": "state", "output": "stateN"}], "maxSeconds": 1}"#;

fn compile(step: &str, signature: &Signature) -> Result<AudioStep, String> {
    let spec: Spec = serde_json::from_str(&format!(r#"{{"preprocess": [{{"audio": {step}}}]}}"#)).unwrap();
    let [crds::PreprocessStep::Audio(spec)] = spec.preprocess.as_slice() else { panic!("{step}") };
    AudioStep::compile(
        spec,
        &Target {
            signature,
            max_rows: 2,
            few_lengths: false,
            files: &crate::model::files::Files::default(),
            metadata: &std::collections::BTreeMap::new(),
        },
    )
}

fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut out = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut out, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    out.into_inner()
}

fn error(body: &[u8]) -> (u16, String) {
    let error = decode::read(body, 1).unwrap_err();
    (error.status().as_u16(), error.message)
}

fn floats(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::Fp32(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn channels_are_averaged() {
    let mono = decode::read(&wav(8_000, 2, &[16_384, 0, -32_768, -32_768]), 1).unwrap();
    assert_eq!((mono.rate, mono.samples), (8_000, vec![0.25, -1.0]));
}

#[test]
fn frames_carry_context_and_state() {
    let step = compile(SILERO, &silero()).unwrap();
    let Prepared::Sequence(mut sequence) = step.prepare(&wav(8_000, 1, &[8_192, 16_384, 24_576, 0, 4_096])).unwrap()
    else {
        panic!()
    };
    let first = sequence.inputs().unwrap();
    assert_eq!(floats(&first[0]), [0.0, 0.0, 0.25, 0.5, 0.75, 0.0]);
    assert_eq!(first[0].shape, [1, 6]);
    assert_eq!(first[1], Tensor { name: "sr".into(), shape: vec![], data: Data::Int64(vec![8_000]) });
    assert_eq!((&*first[2].name, &*first[2].shape, floats(&first[2])), ("state", &[2, 1, 3][..], &[0.0; 6][..]));
    let output =
        |name: &str, shape: &[usize], data| Tensor { name: name.into(), shape: shape.to_vec(), data: Data::Fp32(data) };
    let outputs = vec![output("output", &[1, 1], vec![0.5]), output("stateN", &[2, 1, 3], vec![7.0; 6])];
    sequence.take(outputs, 0.5).unwrap();
    let second = sequence.inputs().unwrap();
    assert_eq!(floats(&second[0]), [0.75, 0.0, 0.125, 0.0, 0.0, 0.0]);
    assert_eq!(floats(&second[2]), [7.0; 6]);
    let wrong = vec![output("output", &[1, 1], vec![0.5]), output("stateN", &[2, 1, 4], vec![7.0; 8])];
    assert!(sequence.take(wrong, 0.5).is_err());
    sequence
        .take(vec![output("output", &[1, 1], vec![0.25]), output("stateN", &[2, 1, 3], vec![8.0; 6])], 0.25)
        .unwrap();
    assert!(sequence.inputs().is_none());
    assert_eq!(sequence.finish(), Series { scores: vec![0.5, 0.25], frame: 4, length: 5, rate: 8_000 });
}

#[test]
fn the_whole_and_frames_without_state() {
    let signature = Signature {
        inputs: vec![tensor("samples", Datatype::Fp32, &[-1, -1])],
        outputs: vec![tensor("scores", Datatype::Fp32, &[-1, 2])],
    };
    let body = wav(8_000, 1, &[8_192; 9]);
    for (step, shapes, single) in [
        (r#"{"sampleRate": 8000}"#, vec![vec![1, 9]], true),
        (r#"{"sampleRate": 8000, "frame": 3}"#, vec![vec![2, 3], vec![1, 3]], false),
        (r#"{"sampleRate": 8000, "frame": 4, "context": 1}"#, vec![vec![2, 5], vec![1, 5]], false),
        (r#"{"sampleRate": 16000}"#, vec![vec![1, 18]], true),
    ] {
        let Prepared::Runs(runs) = compile(step, &signature).unwrap().prepare(&body).unwrap() else { panic!() };
        let found: Vec<Vec<usize>> = runs.batches.iter().map(|batch| batch.inputs[0].shape.clone()).collect();
        assert_eq!((found, runs.single), (shapes, single), "{step}");
        for batch in &runs.batches {
            assert_eq!(batch.inputs[0].data.len(), batch.inputs[0].shape.iter().product::<usize>());
        }
    }
}

#[test]
fn steps_that_do_not_fit_name_both_sides() {
    for (step, say) in [
        (r#"{"sampleRate": 8000}"#, "audio.rateInput"),
        (r#"{"sampleRate": 8000, "rateInput": "sr", "input": "input"}"#, "nothing for \"state\""),
        (
            r#"{"sampleRate": 8000, "frame": 4, "rateInput": "sr", "state": [{"input": "state", "output": "nope"}]}"#,
            "output FP32[-1, 1]",
        ),
        (
            r#"{"sampleRate": 8000, "frame": 4, "rateInput": "sr", "state": [{"input": "state", "output": "output"}]}"#,
            "differ",
        ),
        (r#"{"sampleRate": 8000, "frame": 4, "rateInput": "input"}"#, "one whole number"),
        (r#"{"sampleRate": 8000, "context": 4}"#, "give audio.frame"),
    ] {
        let message = compile(step, &silero()).err().unwrap();
        assert!(message.contains(say), "{step}: {message}");
    }
    let fixed = Signature {
        inputs: vec![tensor("samples", Datatype::Fp32, &[-1, 512])],
        outputs: vec![tensor("scores", Datatype::Fp32, &[-1, 2])],
    };
    let message = compile(r#"{"sampleRate": 8000, "frame": 256}"#, &fixed).err().unwrap();
    assert!(message.contains("FP32[1, 256]") && message.contains("FP32[-1, 512]"), "{message}");
}

#[test]
fn what_is_no_whole_audio_is_refused() {
    let whole = wav(8_000, 1, &[5; 4_000]);
    for (body, status, say) in [
        (&b""[..], 400, "no WAV or FLAC"),
        (b"OggS....", 400, "no WAV or FLAC"),
        (b"RIFF", 400, "broken or cut off"),
        (b"fLaC", 400, "broken or cut off"),
        (&whole[..60], 400, "cut off"),
        (&whole[..whole.len() - 1], 400, "cut off"),
        (&wav(8_000, 1, &[]), 400, "no samples"),
        (
            &wav(8_000, 1, &[5; 8_001]),
            422,
            "8001 samples or more, at 8000 a second; audio.maxSeconds of this service takes 1",
        ),
        (&wav(96_000, 1, &[5; 48_001]), 422, "audio.maxSeconds"),
        (&wav(500, 1, &[5; 10]), 422, "1000 to 384000"),
    ] {
        let (got, message) = error(body);
        assert!(got == status && message.contains(say), "{got}: {message}");
    }
    // A header that promises four gigabytes.
    let mut bomb = whole.clone();
    bomb[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let (_, message) = error(&bomb);
    assert!(message.contains("audio.maxSeconds") || message.contains("broken"), "{message}");
}

proptest! {
    #[test]
    fn no_bytes_do_harm(body in proptest::collection::vec(any::<u8>(), 0..200), start in 0usize..44) {
        let whole = wav(8_000, 1, &[5; 40]);
        let flac = [b"fLaC\0\0\0\x22".to_vec(), body.clone()].concat();
        for body in [body.clone(), [&whole[..start], &body].concat(), flac] {
            let _ = decode::read(&body, 1);
        }
    }

    #[test]
    fn changed_files_do_no_harm(changes in proptest::collection::vec((0usize..124, any::<u8>()), 1..8)) {
        let mut body = wav(8_000, 1, &[5; 40]);
        for (at, byte) in changes {
            body[at] = byte;
        }
        if let Ok(mono) = decode::read(&body, 1) {
            prop_assert!(mono.samples.len() <= 400_000);
        }
    }
}
