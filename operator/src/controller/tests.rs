//! The wait after failures.

use super::*;

#[test]
fn waits_double_up_to_a_minute() {
    let waits: Vec<_> = [1, 2, 3, 9, 10, 4_000_000_000].map(wait_after).map(|wait| wait.as_millis()).into();
    assert_eq!(waits, [200, 400, 800, 51_200, 60_000, 60_000]);
}
