//! A year in the life of an authority, day by day.

use super::*;

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + n * SECONDS_OF_DAY).unwrap()
}

#[test]
fn nobody_is_shut_out_by_a_rotation() {
    let mut authority = Authority::renew(None, day(0)).unwrap();
    let mut leaf = Leaf::renew(None, &authority, "gateway.millrace.internal", day(0)).unwrap();
    let (first, mut signers) = (authority.signer.certificate.clone(), 0);
    for today in 1..800 {
        // Whoever read the bundle yesterday must trust what is signed today.
        let yesterday = authority.bundle();
        authority = Authority::renew(Some(authority), day(today)).unwrap();
        assert!(
            yesterday.contains(&authority.signer.certificate),
            "day {today}: the signer wasn't trusted the day before"
        );
        assert!(left(&authority.signer.certificate, day(today)) > 0, "day {today}: the signer has run out");
        let before = leaf.issuer.clone();
        leaf = Leaf::renew(Some(leaf), &authority, "gateway.millrace.internal", day(today)).unwrap();
        assert!(left(&leaf.certificate, day(today)) >= RENEW_DAYS - 1, "day {today}");
        signers += i32::from(before != leaf.issuer);
    }
    assert_eq!(signers, 2);
    assert!(!authority.bundle().contains(&first), "an authority that has run out is still trusted");
}

#[test]
fn data_comes_back_and_nothing_due_changes_nothing() {
    let authority = Authority::renew(None, day(0)).unwrap();
    assert_eq!(Authority::from_data(&authority.data()).as_ref(), Some(&authority));
    assert_eq!(Authority::renew(Some(authority.clone()), day(1)).unwrap(), authority);
    let leaf = Leaf::renew(None, &authority, "operator.millrace.internal", day(0)).unwrap();
    assert_eq!(Leaf::from_data(&leaf.data()).as_ref(), Some(&leaf));
    assert_eq!(Leaf::renew(Some(leaf.clone()), &authority, "operator.millrace.internal", day(1)).unwrap(), leaf);
    assert_eq!(
        Authority::from_data(&[("ca.crt".to_owned(), "x".to_owned()), ("ca.key".to_owned(), "y".to_owned())].into()),
        None
    );
}

#[test]
fn the_leaf_has_the_name_and_both_usages() {
    let authority = Authority::renew(None, day(0)).unwrap();
    let leaf = Leaf::renew(None, &authority, "gateway.millrace.internal", day(0)).unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(leaf.certificate.as_bytes()).unwrap();
    let certificate = block.parse_x509().unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && usage.server_auth);
    let names = format!("{:?}", certificate.subject_alternative_name().unwrap().unwrap().value.general_names);
    assert!(names.contains("gateway.millrace.internal"), "{names}");
}
