//! Shapes and keys, decided without a GPU.

use super::*;
use crate::protocol::{data::Datatype, tensor::TensorSpec};
use rstest::rstest;

fn signature(inputs: &[(&str, &[i64])]) -> Signature {
    let spec = |(name, shape): &(&str, &[i64])| TensorSpec {
        name: (*name).to_owned(),
        datatype: Datatype::Fp32,
        shape: shape.to_vec(),
    };
    Signature { inputs: inputs.iter().map(spec).collect(), outputs: vec![spec(&("out", &[-1, 2]))] }
}

fn of(inputs: &[(&str, &[i64])], buckets: &[usize], lengths: &[usize]) -> Result<Option<Profiles>, Unbounded> {
    let max_rows = buckets.last().copied().unwrap_or(32);
    profiles(&signature(inputs), Sizes { buckets, max_rows, lengths })
}

#[rstest]
#[case::fixed(&[("x", &[1, 3, 224, 224][..])], &[], &[], None)]
#[case::rows_of_any_number(&[("x", &[-1, 3, 8, 8][..])], &[], &[], Some(("x:1x3x8x8", "x:32x3x8x8", "x:32x3x8x8")))]
#[case::rows_in_buckets(&[("x", &[-1, 4][..])], &[1, 8], &[], Some(("x:1x4,x:8x4", "x:1x4,x:8x4", "x:1x4,x:8x4")))]
#[case::texts(
    &[("ids", &[-1, -1][..]), ("mask", &[-1, -1])], &[4], &[32, 128],
    Some(("ids:4x32,mask:4x32,ids:4x128,mask:4x128", "ids:4x32,mask:4x32,ids:4x128,mask:4x128", "ids:4x32,mask:4x32,ids:4x128,mask:4x128"))
)]
#[case::texts_in_batches_of_any_size(
    &[("ids", &[-1, -1][..])], &[], &[32, 128], Some(("ids:1x32", "ids:32x128", "ids:32x128"))
)]
#[case::an_input_without_free_dimensions_has_no_part(
    &[("ids", &[1, -1][..]), ("scale", &[1])], &[2], &[32], Some(("ids:1x32", "ids:1x32", "ids:1x32"))
)]
fn profiles_cover_what_requests_are_padded_to(
    #[case] inputs: &[(&str, &[i64])],
    #[case] buckets: &[usize],
    #[case] lengths: &[usize],
    #[case] expected: Option<(&str, &str, &str)>,
) {
    let expected = expected.map(|(min, opt, max)| Profiles { min: min.into(), opt: opt.into(), max: max.into() });
    assert_eq!(of(inputs, buckets, lengths), Ok(expected));
}

#[test]
fn batches_beyond_the_buckets_have_a_profile_as_well() {
    let sizes = Sizes { buckets: &[1, 4], max_rows: 32, lengths: &[16, 64] };
    let profiles = profiles(&signature(&[("ids", &[-1, -1])]), sizes).unwrap().unwrap();
    assert_eq!(profiles.min, "ids:1x16,ids:1x64,ids:4x16,ids:4x64,ids:5x16");
    assert_eq!(profiles.max, "ids:1x16,ids:1x64,ids:4x16,ids:4x64,ids:32x64");
    assert_eq!(profiles.opt, profiles.max);
}

#[test]
fn too_many_pairs_share_one_profile() {
    let lengths: Vec<usize> = (1..=6).map(|n| n * 64).collect();
    let profiles = of(&[("ids", &[-1, -1])], &[1, 4, 16], &lengths).unwrap().unwrap();
    assert_eq!(profiles, Profiles { min: "ids:1x64".into(), opt: "ids:16x384".into(), max: "ids:16x384".into() });
}

#[test]
fn a_dimension_that_nothing_bounds_is_named() {
    let error = of(&[("image", &[-1, 3, -1, -1])], &[1], &[]).unwrap_err();
    assert!(error.to_string().contains("\"image\" has a free dimension (number 2)"), "{error}");
}

#[test]
fn whatever_an_engine_depends_on_changes_its_key() {
    let (one, two) = (Profiles::default(), Profiles { min: "x:1".into(), opt: "x:1".into(), max: "x:1".into() });
    let key = EngineKey {
        model: "aa",
        runtime: "1.31.1",
        tensorrt: "10.13",
        gpu: "H100 9.0",
        precision: None,
        profiles: Some(&two),
    };
    let others = [
        EngineKey { model: "ab", ..key.clone() },
        EngineKey { runtime: "1.32.0", ..key.clone() },
        EngineKey { tensorrt: "10.14", ..key.clone() },
        EngineKey { gpu: "L40S 8.9", ..key.clone() },
        EngineKey { precision: Some(Precision::FP16), ..key.clone() },
        EngineKey { profiles: Some(&one), ..key.clone() },
        // The same letters, parted elsewhere.
        EngineKey { model: "aa1", runtime: ".31.1", ..key.clone() },
    ];
    assert_eq!(key.digest(), key.clone().digest());
    assert!(key.digest().len() == 64 && key.digest().chars().all(|letter| letter.is_ascii_hexdigit()));
    for other in others {
        assert_ne!(other.digest(), key.digest(), "{other:?}");
    }
}
