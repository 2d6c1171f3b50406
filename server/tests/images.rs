//! Images: files and steps held to PIL and numpy, scores of a real model to its own package, and limits over the wire.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::{
    model::files::Files,
    pipeline::{Pipeline, Prepared, Raw, Target},
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::real::{Real, example};

/// A file, and input steps as a manifest has them.
struct Case {
    file: PathBuf,
    steps: Value,
}

impl Case {
    fn new(file: &Path, steps: Value) -> Self {
        Self { file: file.to_owned(), steps }
    }

    /// The tensor that the steps make: bytes, or floats if they normalise.
    fn tensor(&self) -> Tensor {
        let last = self.steps.as_array().unwrap().last().unwrap();
        let channels = if self.steps[0]["decodeImage"]["color"] == "Gray" { 1 } else { 3 };
        let first = last["normalize"].is_object() && last["normalize"]["layout"] != "NHWC";
        let shape = if first { vec![-1, channels, -1, -1] } else { vec![-1, -1, -1, channels] };
        let datatype = if last["normalize"].is_object() { Datatype::Fp32 } else { Datatype::Uint8 };
        let signature = Signature {
            inputs: vec![TensorSpec { name: "pixels".into(), datatype, shape }],
            outputs: vec![TensorSpec { name: "scores".into(), datatype: Datatype::Fp32, shape: vec![-1, 2] }],
        };
        let metadata = std::collections::BTreeMap::new();
        let target = Target {
            signature: &signature,
            max_rows: 1,
            few_lengths: false,
            files: &Files::default(),
            metadata: &metadata,
        };
        let pipeline =
            Pipeline::compile(&serde_json::from_value(json!({"preprocess": self.steps})).unwrap(), &target).unwrap();
        let prepared = pipeline.prepare(&Raw::from(std::fs::read(&self.file).unwrap())).unwrap();
        let Prepared::Runs(mut runs) = prepared else { panic!("{}", self.steps) };
        runs.batches.remove(0).inputs.remove(0)
    }
}

/// What the reference makes of each case: shape and bytes.
fn reference(real: &Real, cases: &[Case]) -> Vec<(Vec<usize>, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<Value> = cases.iter().map(|case| json!({"file": case.file, "steps": case.steps})).collect();
    let made = real.python("image_reference.py", &[folder.path().to_str().unwrap()], &json!(list).to_string());
    let each = made.as_array().unwrap().iter().enumerate();
    each.map(|(at, made)| {
        let shape = serde_json::from_value(made["shape"].clone()).unwrap();
        (shape, std::fs::read(folder.path().join(format!("{at}.bin"))).unwrap())
    })
    .collect()
}

/// Image files of every kind, each with whether it is lossy. They are gone with the folder.
fn pictures(real: &Real) -> (tempfile::TempDir, Vec<(PathBuf, bool)>) {
    let folder = tempfile::tempdir().unwrap();
    let own = real.models.join("pictures");
    let list = real.python("pictures.py", &[own.to_str().unwrap(), folder.path().to_str().unwrap()], "");
    let files = list.as_array().unwrap().iter();
    let files = files.map(|one| (one["file"].as_str().unwrap().into(), one["lossy"] == true)).collect();
    (folder, files)
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    match &tensor.data {
        Data::Uint8(bytes) => bytes.clone(),
        Data::Fp32(floats) => floats.iter().flat_map(|float| float.to_le_bytes()).collect(),
        other => panic!("{other:?}"),
    }
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// The largest and the mean difference of bytes.
fn difference(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let each = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = each.clone().map(f64::from).sum();
    #[allow(clippy::cast_precision_loss)]
    let mean = sum / ours.len() as f64;
    (each.max().unwrap_or(0), mean)
}

/// Lossless files to the bit. Of lossy ones the decoders round differently: by this much at most.
#[test]
fn files_decode_as_pil_decodes_them() {
    let Some(real) = Real::here() else { return };
    let (_folder, files) = pictures(&real);
    assert!(files.len() > 100, "{} files", files.len());
    let steps = [json!([{"decodeImage": {}}]), json!([{"decodeImage": {"color": "Gray"}}])];
    let cases: Vec<Case> =
        files.iter().flat_map(|(file, _)| steps.iter().map(move |steps| Case::new(file, steps.clone()))).collect();
    let mut failed = Vec::new();
    let mut worst = (0, 0.0);
    for (at, (case, (shape, theirs))) in cases.iter().zip(reference(&real, &cases)).enumerate() {
        let (file, lossy) = &files[at / steps.len()];
        let ours = case.tensor();
        assert_eq!(ours.shape[1..], shape, "{}", name(file));
        let (largest, mean) = difference(&bytes(&ours), &theirs);
        if *lossy {
            worst = (largest.max(worst.0), f64::max(mean, worst.1));
        }
        let fits = if *lossy { largest <= 8 && mean <= 1.0 } else { largest == 0 };
        if !fits {
            failed.push(format!("{} {}: largest {largest}, mean {mean:.3}", name(file), case.steps[0]));
        }
    }
    println!(
        "{} files; of lossy ones the largest difference is {}, the largest mean {:.3}",
        files.len(),
        worst.0,
        worst.1
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn resizing_is_pils_to_the_bit() {
    let Some(real) = Real::here() else { return };
    let (folder, _) = pictures(&real);
    let own = |name: &str| real.models.join("pictures").join(name);
    let made = |name: &str| folder.path().join(name);
    let mut cases = Vec::new();
    for file in [own("chelsea.png"), own("camera.png"), made("noise.png"), made("checks.png"), made("strip.png")] {
        for filter in ["Nearest", "Box", "Bilinear", "Hamming", "Bicubic", "Lanczos"] {
            for (width, height) in
                [(224, 224), (1, 1), (7, 3), (61, 47), (451, 100), (100, 300), (500, 400), (333, 1), (2, 499)]
            {
                let resize = json!({"resize": {"width": width, "height": height, "filter": filter}});
                let color = if cases.len() % 2 == 0 { "RGB" } else { "Gray" };
                cases.push(Case::new(&file, json!([{"decodeImage": {"color": color}}, resize])));
            }
        }
    }
    let mut failed = Vec::new();
    for (case, (shape, theirs)) in cases.iter().zip(reference(&real, &cases)) {
        let ours = case.tensor();
        assert_eq!(ours.shape[1..], shape, "{}", case.steps);
        let ours = bytes(&ours);
        if ours != theirs {
            let (largest, mean) = difference(&ours, &theirs);
            failed.push(format!("{} {}: largest {largest}, mean {mean:.5}", name(&case.file), case.steps));
        }
    }
    println!("{} images resized", cases.len());
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// All 32 bits of each number.
#[test]
fn tensors_are_those_of_torchvisions_arithmetic() {
    let Some(real) = Real::here() else { return };
    let (folder, _) = pictures(&real);
    let imagenet = json!({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]});
    let last = json!({"scale": 1, "mean": [104, 117, 123], "layout": "NHWC"});
    let letterbox = |filter: &str, more: &[(&str, Value)]| {
        let mut fields = json!({"width": 320, "height": 192, "mode": "Letterbox", "filter": filter});
        more.iter().for_each(|(key, value)| fields[*key] = value.clone());
        json!({"resize": fields})
    };
    let lists = [
        json!([{"decodeImage": {}}, {"normalize": imagenet}]),
        json!([{"decodeImage": {"color": "BGR"}}, {"normalize": last}]),
        json!([{"decodeImage": {"color": "Gray"}}, {"normalize": {"mean": [0.5], "std": [0.25]}}]),
        json!([{"decodeImage": {}}, {"normalize": {"scale": 0.0078125, "mean": [1]}}]),
        json!([{"decodeImage": {}}, {"resize": {"width": 256, "height": 256, "mode": "ShortestSide", "filter": "Bicubic"}},
            {"centreCrop": {"width": 224, "height": 224}}, {"normalize": imagenet}]),
        json!([{"decodeImage": {}}, letterbox("Bilinear", &[]), {"normalize": {}}]),
        json!([{"decodeImage": {}}, letterbox("Lanczos", &[("anchor", json!("TopLeft")), ("fill", json!(0))])]),
        json!([{"decodeImage": {}}, {"centreCrop": {"width": 500, "height": 101}}]),
        json!([{"decodeImage": {}}, {"centreCrop": {"width": 33, "height": 600}}]),
        json!([{"decodeImage": {}}, {"centreCrop": {"width": 1, "height": 2}}]),
    ];
    let files = ["chelsea.png", "cell.png"].map(|name| real.models.join("pictures").join(name));
    let files = files.into_iter().chain([folder.path().join("noise.png"), folder.path().join("turned-6.png")]);
    let cases: Vec<Case> = files
        .flat_map(|file| lists.iter().map(move |steps| Case::new(&file, steps.clone())).collect::<Vec<_>>())
        .collect();
    for (case, (shape, theirs)) in cases.iter().zip(reference(&real, &cases)) {
        let ours = case.tensor();
        assert_eq!(ours.shape[1..], shape, "{} {}", name(&case.file), case.steps);
        assert!(bytes(&ours) == theirs, "{} {}", name(&case.file), case.steps);
    }
}

#[tokio::test]
async fn scores_equal_the_models_own_package() {
    let Some(real) = Real::here() else { return };
    let model = real.models.join("nsfw/open-nsfw.onnx");
    let manifest = format!("{}  access: {{timeout: 5m}}\n", example("image-safety.yaml"));
    let serving = real.serve(&manifest, &model).await.unwrap();
    let (_folder, files) = pictures(&real);
    // All real pictures, and a few of each made kind.
    let is_real = |file: &Path| file.starts_with(&real.models);
    let chosen: Vec<&(PathBuf, bool)> =
        files.iter().enumerate().filter(|(at, (file, _))| is_real(file) || at % 6 == 0).map(|(_, one)| one).collect();
    assert!(chosen.iter().filter(|(file, _)| is_real(file)).count() >= 10);
    let list: Vec<&Path> = chosen.iter().map(|(file, _)| file.as_path()).collect();
    let packages = real.models.join("python");
    let arguments = [packages.to_str().unwrap(), model.to_str().unwrap()];
    let theirs = real.python("nsfw_reference.py", &arguments, &json!(list).to_string());
    let mut worst = [0.0; 3];
    for ((file, lossy), theirs) in chosen.iter().zip(theirs.as_array().unwrap()) {
        let (status, body) = serving.post_as("/process", "image/any", std::fs::read(file).unwrap()).await;
        assert_eq!(status, 200, "{}: {body}", name(file));
        let ours = serde_json::from_str::<Value>(&body).unwrap();
        let off = |key: &str, of: &str| (ours[key].as_f64().unwrap() - theirs[of].as_f64().unwrap()).abs();
        let largest = f64::max(off("nsfw", "nsfw"), off("sfw", "sfw"));
        let tolerance = if *lossy { 5e-3 } else { 1e-5 };
        assert!(largest <= tolerance, "{}: {body}, and the reference says {theirs}", name(file));
        let kind = usize::from(*lossy);
        worst[kind] = f64::max(worst[kind], largest);
        worst[2] = f64::max(worst[2], off("nsfw", "reencoded"));
    }
    println!(
        "{} pictures: largest difference {:.1e} of lossless files, {:.1e} of lossy ones; a JPEG more would make {:.1e}",
        chosen.len(),
        worst[0],
        worst[1],
        worst[2]
    );
}

#[tokio::test]
async fn limits_name_their_field() {
    let Some(real) = Real::here() else { return };
    let manifest = example("image-safety.yaml").replace("maxPixels: 16000000", "maxPixels: 100000");
    let manifest = format!("{manifest}  access: {{maxRequestBytes: 200000}}\n");
    let serving = real.serve(&manifest, &real.models.join("nsfw/open-nsfw.onnx")).await.unwrap();
    let own = |name: &str| std::fs::read(real.models.join("pictures").join(name)).unwrap();
    for (body, status, says) in [
        (own("horse.png"), 422, "the image has 400 × 328 pixels; decodeImage.maxPixels of this service takes 100000"),
        (own("chessboard_RGB.png"), 200, "nsfw"),
        (own("astronaut.png"), 413, "the 200000 bytes of access.maxRequestBytes"),
        (own("chessboard_RGB.png")[..900].to_vec(), 400, "the PNG image can't be read"),
        (own("rocket.jpg")[..9_000].to_vec(), 400, "the JPEG image can't be read: it is cut off"),
        (own("README.txt"), 400, "no JPEG, PNG, WebP or GIF"),
        (Vec::new(), 400, "no JPEG, PNG, WebP or GIF"),
    ] {
        let length = body.len();
        let (got, text) = serving.post_as("/process", "image/png", body).await;
        assert_eq!(got, status, "{length} bytes: {text}");
        assert!(text.contains(says), "{length} bytes: {text}");
    }
}
