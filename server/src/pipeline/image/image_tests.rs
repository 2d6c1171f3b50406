//! Steps by tables, files that are broken or huge, and bytes that are anything.

use super::*;
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, TensorSpec},
};
use image::{DynamicImage, ImageFormat, RgbImage};
use millrace_crds::Pipeline as Spec;
use proptest::prelude::*;
use std::io::Cursor;

fn signature(datatype: Datatype, shape: &[i64]) -> Signature {
    Signature {
        inputs: vec![TensorSpec { name: "pixels".into(), datatype, shape: shape.to_vec() }],
        outputs: vec![TensorSpec { name: "scores".into(), datatype: Datatype::Fp32, shape: vec![-1, 2] }],
    }
}

fn compile(steps: &str, signature: &Signature) -> Result<ImageSteps, String> {
    let spec: Spec = serde_json::from_str(&format!(r#"{{"preprocess": {steps}}}"#)).unwrap();
    let Some((PreprocessStep::DecodeImage(decode), rest)) = spec.preprocess.split_first() else { panic!("{steps}") };
    ImageSteps::compile(
        decode,
        rest,
        &Target {
            signature,
            max_rows: 8,
            few_lengths: false,
            files: &crate::model::files::Files::default(),
            metadata: &std::collections::BTreeMap::new(),
        },
    )
}

/// A file of an image whose pixels differ from each other.
fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let shade = |number: u32| u8::try_from(number % 256).unwrap();
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([shade(x * 40), shade(y * 40), shade(x + y)]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn error(body: &[u8], max_pixels: u64, status: u16) -> String {
    let error = Decode { gray: false, max_pixels }.read(body).unwrap_err();
    assert_eq!(error.status(), status, "{error}");
    error.message
}

fn tensor(steps: &str, signature: &Signature, body: &[u8]) -> (Vec<usize>, Data) {
    match compile(steps, signature).unwrap().prepare(body).unwrap() {
        Prepared::Runs(mut runs) => {
            let tensor = runs.batches.remove(0).inputs.remove(0);
            (tensor.shape, tensor.data)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn layouts_orders_and_types() {
    let png = file(2, 1, ImageFormat::Png); // (0, 0, 0) and (40, 0, 1)
    for (steps, datatype, shape, made, data) in [
        (
            r#"[{"decodeImage": {}}]"#,
            Datatype::Uint8,
            [-1, 3, -1, -1],
            [1, 3, 1, 2],
            Data::Uint8(vec![0, 40, 0, 0, 0, 1]),
        ),
        (
            r#"[{"decodeImage": {}}]"#,
            Datatype::Uint8,
            [-1, -1, -1, 3],
            [1, 1, 2, 3],
            Data::Uint8(vec![0, 0, 0, 40, 0, 1]),
        ),
        (
            r#"[{"decodeImage": {"color": "BGR"}}, {"normalize": {"scale": 1, "mean": [1, 2, 3], "layout": "NHWC"}}]"#,
            Datatype::Fp32,
            [-1, -1, -1, 3],
            [1, 1, 2, 3],
            Data::Fp32(vec![-1.0, -2.0, -3.0, 0.0, -2.0, 37.0]),
        ),
        (
            r#"[{"decodeImage": {"color": "Gray"}}, {"normalize": {"scale": 1, "mean": [2], "std": [0.5]}}]"#,
            Datatype::Fp16,
            [-1, 1, -1, -1],
            [1, 1, 1, 2],
            Data::Fp16(vec![half::f16::from_f32(-4.0), half::f16::from_f32(20.0)]),
        ),
    ] {
        let found = tensor(steps, &signature(datatype, &shape), &png);
        assert_eq!(found, (made.to_vec(), data), "{steps}");
    }
    let (_, Data::Fp32(numbers)) =
        tensor(r#"[{"decodeImage": {}}, {"normalize": {}}]"#, &signature(Datatype::Fp32, &[1, 3, -1, -1]), &png)
    else {
        panic!()
    };
    assert_eq!(numbers[1].to_bits(), (40f32 / 255.0).to_bits(), "divided, as the reference does it");
}

#[test]
fn steps_that_do_not_fit_name_both_sides() {
    let nchw = signature(Datatype::Fp32, &[-1, 3, 224, 224]);
    for (steps, signature, say) in [
        (r#"[{"decodeImage": {}}, {"normalize": {}}]"#, &nchw, ["[1, 3, -1, -1]", "FP32[-1, 3, 224, 224]"]),
        (r#"[{"decodeImage": {}}, {"resize": {"width": 100, "height": 224}}]"#, &nchw, ["[1, 3, 224, 100]", "pixels"]),
        (
            r#"[{"decodeImage": {}}, {"centreCrop": {"width": 224, "height": 224}}, {"normalize": {"layout": "NHWC"}}]"#,
            &nchw,
            ["[1, 224, 224, 3] (NHWC", "[-1, 3, 224, 224]"],
        ),
        (
            r#"[{"decodeImage": {}}, {"normalize": {}}]"#,
            &signature(Datatype::Uint8, &[-1, 3, -1, -1]),
            ["floats", "UINT8"],
        ),
        (
            r#"[{"decodeImage": {}}, {"normalize": {"mean": [1, 2]}}]"#,
            &signature(Datatype::Fp32, &[1, 3, -1, -1]),
            ["mean", "3 channels"],
        ),
        (
            r#"[{"decodeImage": {}}, {"normalize": {"std": [0]}}]"#,
            &signature(Datatype::Fp32, &[1, 3, -1, -1]),
            ["std", "0"],
        ),
        (
            r#"[{"decodeImage": {}}, {"normalize": {}}, {"resize": {"width": 2, "height": 2}}]"#,
            &nchw,
            ["normalize", "resize"],
        ),
        (r#"[{"decodeImage": {}}, {"audio": {"sampleRate": 8000}}]"#, &nchw, ["audio", "decodeImage"]),
    ] {
        let message = compile(steps, signature).err().unwrap();
        assert!(say.iter().all(|say| message.contains(say)), "{steps}: {message}");
    }
}

#[test]
fn sizes_are_checked_before_anything_is_decoded() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let message = error(&file(30, 20, format), 599, 422);
        assert!(
            message.contains("30 × 20") && message.contains("decodeImage.maxPixels of this service takes 599"),
            "{message}"
        );
    }
    // A header that promises 100,000 × 100,000 pixels, 30 GB of them, and no more than the header.
    let mut bomb = file(1, 1, ImageFormat::Png);
    bomb[16..24].copy_from_slice(&[100_000u32.to_be_bytes(), 100_000u32.to_be_bytes()].concat());
    let crc = crc(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&crc);
    let message = error(&bomb, 40_000_000, 422);
    assert!(message.contains("100000 × 100000") && message.contains("decodeImage.maxPixels"), "{message}");
    // Few pixels, all in one row.
    bomb[16..24].copy_from_slice(&[70_000u32.to_be_bytes(), 1u32.to_be_bytes()].concat());
    let crc = self::crc(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&crc);
    assert!(error(&bomb, 40_000_000, 422).contains("a side has 65535 at most"));
    // A strip that is small, and would be huge once its short side is long enough.
    let strip = file(2_000, 1, ImageFormat::Png);
    let steps = r#"[{"decodeImage": {"maxPixels": 100000}}, {"resize": {"width": 200, "height": 200, "mode": "ShortestSide"}}]"#;
    let error = compile(steps, &signature(Datatype::Uint8, &[-1, 3, -1, -1])).unwrap().prepare(&strip).unwrap_err();
    assert!(error.message.contains("400000 × 200") && error.message.contains("decodeImage.maxPixels"), "{error}");
}

/// The check sum of a chunk of a PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn what_is_no_whole_image_is_refused() {
    for (body, say) in
        [(&b""[..], "no JPEG, PNG, WebP or GIF"), (b"hello", "no JPEG"), (b"BM123456789012345", "no JPEG")]
    {
        assert!(error(body, 1_000, 400).contains(say));
    }
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let whole = file(40, 30, format);
        for cut in [whole.len() / 4, whole.len() / 2, whole.len() - 12] {
            let message = error(&whole[..cut], 10_000, 400);
            assert!(message.contains("can't be read") || message.contains("no JPEG"), "{format:?} {cut}: {message}");
        }
    }
}

#[test]
fn points_go_back_to_the_image_that_was_sent() {
    let steps = r#"[{"decodeImage": {}}, {"resize": {"width": 100, "height": 100, "mode": "Letterbox"}}, {"centreCrop": {"width": 80, "height": 80}}]"#;
    let steps = compile(steps, &signature(Datatype::Uint8, &[-1, 3, 80, 80])).unwrap();
    let image = steps.decode.read(&file(50, 20, ImageFormat::Png)).unwrap();
    let (pixels, geometry) = steps.changed(&image).unwrap();
    assert_eq!((pixels.width, pixels.height), (80, 80));
    // Twice as large, 30 rows of fill above, 10 pixels cut off at each side.
    assert_eq!(geometry.back(0.0, 20.0), (5.0, 0.0));
    assert_eq!(geometry.back(80.0, 60.0), (45.0, 20.0));
    assert_eq!(geometry.back(40.0, 40.0), (25.0, 10.0));
    assert_eq!(geometry.back(-100.0, 1_000.0), (0.0, 20.0), "within the image");
    assert_eq!(&pixels.data[..3], [114, 114, 114]);
}

fn starts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(file(9, 7, ImageFormat::Jpeg)),
        Just(file(9, 7, ImageFormat::Png)),
        Just(file(9, 7, ImageFormat::WebP)),
        Just(file(9, 7, ImageFormat::Gif)),
    ]
}

proptest! {
    #[test]
    fn no_bytes_do_harm(body in proptest::collection::vec(any::<u8>(), 0..200), start in starts()) {
        for body in [body.clone(), [&start[..12], &body].concat()] {
            let _ = Decode { gray: false, max_pixels: 1_000_000 }.read(&body);
        }
    }

    #[test]
    fn changed_files_do_no_harm(mut body in starts(), changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8)) {
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(pixels) = (Decode { gray: true, max_pixels: 1_000_000 }).read(&body) {
            prop_assert_eq!(pixels.data.len() as u64, u64::from(pixels.width) * u64::from(pixels.height));
        }
    }

    #[test]
    fn sizes_keep_the_ratio(width in 1u32..5_000, height in 1u32..5_000, wide in 1u32..600, high in 1u32..600) {
        let spec = |mode: &str| -> crds::Resize {
            serde_json::from_str(&format!(r#"{{"width": {wide}, "height": {high}, "mode": "{mode}"}}"#)).unwrap()
        };
        let (inner_width, inner_height) = resize::size(&spec("Letterbox"), (width, height));
        prop_assert!(inner_width <= wide && inner_height <= high && (inner_width == wide || inner_height == high));
        let (outer_width, outer_height) = resize::size(&spec("ShortestSide"), (width, height));
        prop_assert!(outer_width >= wide && outer_height >= high && (outer_width == wide || outer_height == high));
    }
}

#[test]
fn padding_is_of_the_tensor() {
    let png = file(2, 1, ImageFormat::Png); // (0, 0, 0) and (40, 0, 1)
    let steps = r#"[{"decodeImage": {"color": "Gray"}}, {"normalize": {"scale": 1}}, {"pad": {"width": 3, "height": 2, "widthMultipleOf": 2, "value": -1}}]"#;
    for (shape, made) in [([-1, 1, 2, 4], [1, 1, 2, 4]), ([-1, -1, -1, 1], [1, 2, 4, 1])] {
        let layout = if shape[3] == 1 {
            steps.replace("\"scale\": 1", "\"scale\": 1, \"layout\": \"NHWC\"")
        } else {
            steps.to_owned()
        };
        // Known sides need an image of a known size.
        let layout = layout
            .replace(r#"{"normalize""#, r#"{"resize": {"width": 2, "height": 1, "filter": "Nearest"}}, {"normalize""#);
        let found = tensor(&layout, &signature(Datatype::Fp32, &shape), &png);
        assert_eq!(found.0, made, "{layout}");
        assert_eq!(found.1, Data::Fp32(vec![0.0, 12.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]), "{layout}");
    }
    let colours = r#"[{"decodeImage": {}}, {"normalize": {"scale": 1}}, {"pad": {"width": 3}}]"#;
    let (shape, data) = tensor(colours, &signature(Datatype::Fp32, &[1, 3, -1, -1]), &png);
    assert_eq!(shape, [1, 3, 1, 3]);
    assert_eq!(data, Data::Fp32(vec![0.0, 40.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    for (steps, says) in [
        (
            r#"[{"decodeImage": {}}, {"pad": {}}, {"normalize": {}}]"#,
            "pad makes the tensor, and normalize can't follow it",
        ),
        (
            r#"[{"decodeImage": {}}, {"normalize": {}}, {"resize": {"width": 2, "height": 2}}]"#,
            "normalize makes the tensor, and resize",
        ),
        (
            r#"[{"decodeImage": {}}, {"resize": {"width": 9, "height": 4, "mode": "Height", "maxSide": 9}}, {"normalize": {}}, {"pad": {"width": 8}}]"#,
            "[1, 3, 4, -1]",
        ),
    ] {
        let error = compile(steps, &signature(Datatype::Fp32, &[1, 3, 4, 8])).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// What a cut doesn't keep isn't resized at all: nobody is to see that.
#[test]
fn a_cut_after_resizing_is_as_if_all_had_been_resized() {
    let takes = signature(Datatype::Uint8, &[-1, 3, -1, -1]);
    let image = Decode { gray: false, max_pixels: 10_000 }.read(&file(61, 40, ImageFormat::Png)).unwrap();
    for (resize, cut) in [
        (r#"{"width": 30, "height": 30, "mode": "ShortestSide"}"#, (24, 20)),
        (r#"{"width": 30, "height": 30, "filter": "Nearest"}"#, (25, 21)),
        (r#"{"width": 30, "height": 20}"#, (40, 10)),
        (r#"{"width": 20, "height": 20}"#, (40, 40)),
        (r#"{"width": 61, "height": 40}"#, (30, 30)),
        (r#"{"width": 30, "height": 40, "mode": "Letterbox"}"#, (28, 38)),
    ] {
        let (width, height) = cut;
        let steps =
            |rest: &str| compile(&format!(r#"[{{"decodeImage": {{}}}}, {{"resize": {resize}}}{rest}]"#), &takes);
        let cut = format!(r#", {{"centreCrop": {{"width": {width}, "height": {height}}}}}"#);
        let (resized, mut geometry) =
            steps("").unwrap().changed(&image).map(|(made, at)| (made.into_owned(), at)).unwrap();
        let expected = crop::centre_crop(&crds::CentreCrop { width, height }, &resized, &mut geometry);
        let both = steps(&cut).unwrap();
        let (found, place) = both.changed(&image).unwrap();
        assert_eq!((found.as_ref(), place), (&expected, geometry), "{resize}");
    }
}
