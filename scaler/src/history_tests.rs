use super::*;
use proptest::prelude::*;

fn filled(pieces: &[(u64, f64, f64)]) -> History {
    let mut history = None;
    for (amount, from, to) in pieces {
        History::add(&mut history, Increase { amount: *amount, from: *from, to: *to });
    }
    history.unwrap()
}

/// `rate` requests a second, reported every second.
fn steady(rate: impl Fn(i64) -> u64, from: i64, to: i64) -> History {
    let seconds: Vec<(u64, f64, f64)> = (from..to).map(|s| (rate(s), s as f64, (s + 1) as f64)).collect();
    filled(&seconds)
}

#[test]
fn a_gap_loses_nothing() {
    let history = filled(&[(0, 100.0, 101.0), (300, 101.0, 131.0)]);
    assert!((history.rate(131.0, 10.0) - 10.0).abs() < 1e-3, "{}", history.rate(131.0, 10.0));
    assert_eq!(history.rate(131.0, 300.0).round(), 10.0);
}

#[test]
fn rate_dies_away_and_peak_stays() {
    let history = filled(&[(100, 0.0, 10.0), (0, 10.0, 40.0)]);
    assert_eq!(history.rate(40.0, 10.0), 0.0);
    assert!(history.peak(40.0, 60.0, 10.0) > 9.9);
    assert!(history.peak(40.0, 10.0, 10.0) < 1e-9);
}

#[test]
fn the_hour_and_the_day_keep_mean_and_highest() {
    // One second in ten has all: each ten seconds have mean 1 and a highest two seconds of 5.
    let history = steady(|second| if second % 10 == 0 { 10 } else { 0 }, 100_000, 100_000 + 4_000);
    let (hour, end) = history.hour();
    assert_eq!(hour.len(), MIDDLES as usize);
    assert!((3_920.0..=3_940.0).contains(&(end - 100_000.0)), "{end}");
    for sample in hour.iter().flatten() {
        assert!((sample.mean - 1.0).abs() < 0.01 && (sample.highest - 5.0).abs() < 0.3, "{sample:?}");
    }
    let (day, _) = history.day();
    assert!((32..=33).contains(&day.iter().flatten().count()), "{day:?}");
    assert!(day.iter().flatten().all(|sample| (sample.highest - 1.0).abs() < 0.06), "{day:?}");
    assert!((history.peak(104_000.0, 3_000.0, 10.0) - 1.0).abs() < 0.02);
}

#[test]
fn what_nobody_reported_is_not_none() {
    let history = filled(&[(100, 1_000.0, 1_100.0), (0, 2_000.0, 2_200.0)]);
    let (hour, _) = history.hour();
    assert_eq!(hour.iter().filter(|sample| sample.is_none()).count(), 90, "{hour:?}");
    assert!(!history.is_silent());
    assert!(filled(&[(0, 0.0, 100.0)]).is_silent());
    let day_later = filled(&[(100, 1_000.0, 1_100.0), (0, 90_000.0, 90_100.0)]);
    assert!(day_later.is_silent(), "after a day all is forgotten");
}

#[test]
fn nonsense_is_no_history() {
    let mut history = None;
    for (from, to) in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (2.0, 1.0), (-1e300, 1.0), (0.0, 1e300)] {
        History::add(&mut history, Increase { amount: 1, from, to });
    }
    assert_eq!(history, None);
}

#[test]
fn it_is_written_down_and_read_again_whole() {
    let history = steady(|second| (second % 17) as u64, 50_000, 57_000);
    let text = serde_json::to_string(&history).unwrap();
    assert!(text.len() < 4_096, "{}", text.len());
    let again: History = serde_json::from_str(&text).unwrap();
    // Unknown bins are no numbers, and differ from themselves.
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert_eq!(again.hour(), history.hour());
    assert_eq!(again.rate(57_000.0, 10.0), history.rate(57_000.0, 10.0));
    for bad in ["\"\"", "\"AAAA\"", "\"!\"", "3", &text.replace('A', "_")] {
        assert!(serde_json::from_str::<History>(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn it_keeps_the_amount(pieces in prop::collection::vec((0u64..1_000, 0.0f64..20.0), 1..12)) {
        let (mut history, mut now, mut total) = (None, 1_000.5, 0);
        for (amount, length) in pieces {
            History::add(&mut history, Increase { amount, from: now, to: now + length });
            now += length;
            total += amount;
        }
        let sum = history.unwrap().sum(0, i64::MAX / 4);
        prop_assert!((sum - total as f64).abs() < 1e-3 * (1.0 + total as f64), "{sum} of {total}");
    }

    /// However reports fall, the coarse tiers see the same amount as the fine one, a minute later.
    #[test]
    fn the_tiers_agree(rate in 1u64..200, gaps in prop::collection::vec(1i64..200, 10..40)) {
        let (mut history, mut now) = (None, 10_000);
        for gap in gaps {
            History::add(&mut history, Increase { amount: rate * gap as u64, from: now as f64, to: (now + gap) as f64 });
            now += gap;
        }
        let (hour, _) = history.unwrap().hour();
        for sample in hour.iter().flatten() {
            prop_assert!((f64::from(sample.mean) / rate as f64 - 1.0).abs() < 0.01, "{sample:?} of {rate}");
        }
    }
}
