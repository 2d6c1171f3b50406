//! Decimal digits to numbers. Python writes an FP32 with the 17 digits of its double: so long ones have to be quick as well.

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// So many digits fit the mantissa, whatever they are.
const DIGITS: usize = 19;

/// A number as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer of 0 or more.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// With a fraction or an exponent, or too large for an integer.
    Float(f64),
}

/// The parts of a number's text: `mantissa` times ten to the power of `exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'a> {
    /// Its whole text.
    pub text: &'a [u8],
    /// Below zero.
    pub negative: bool,
    /// All digits as an integer; of no use if there are more than 19.
    pub mantissa: u64,
    /// Digits, without zeros before the first other one of a fraction.
    pub digits: usize,
    /// Power of ten.
    pub exponent: i64,
    /// It has a fraction or an exponent.
    pub float: bool,
}

impl Decimal<'_> {
    /// The number; `None`: none that a double can hold. Up to 2^53 it is exact by one multiplication or division; others go
    /// to the standard library.
    #[inline]
    pub fn number(&self) -> Option<Number> {
        if !self.float {
            return if self.digits <= DIGITS { self.integer() } else { long(self.text) };
        }
        let exact = self.scaled().filter(|_| self.mantissa < 1 << 53).map(Number::Float);
        exact.or_else(|| fraction(self.text))
    }

    /// The nearest FP32; `None`: it would be infinite.
    #[inline]
    pub fn single(&self) -> Option<f32> {
        // The mantissa and the quotient are each rounded once: the double is off by two of its last places at most, and so
        // rounds to the same single unless it lies that near to the middle between two.
        const BELOW: u32 = f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS;
        let near = |value: f64| ((value.to_bits() & ((1 << BELOW) - 1)).abs_diff(1 << (BELOW - 1))) <= 2;
        // What is smaller has fewer places as a single.
        let normal = |value: f64| value == 0.0 || value.abs() >= f64::from(f32::MIN_POSITIVE);
        #[allow(clippy::cast_possible_truncation)] // what this is about
        let quick = self.scaled().filter(|value| normal(*value) && !near(*value)).map(|value| value as f32);
        let single = quick.or_else(|| std::str::from_utf8(self.text).ok()?.parse().ok());
        single.filter(|single| single.is_finite())
    }

    /// As a double, each step rounded.
    #[inline]
    fn scaled(&self) -> Option<f64> {
        let power = POWERS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        #[allow(clippy::cast_precision_loss)]
        let value = (self.digits <= DIGITS).then_some(self.mantissa as f64)?;
        let value = if self.exponent < 0 { value / power } else { value * power };
        Some(if self.negative { -value } else { value })
    }

    #[inline]
    fn integer(&self) -> Option<Number> {
        match (self.negative, i64::try_from(self.mantissa)) {
            (false, _) => Some(Number::Unsigned(self.mantissa)),
            (true, Ok(0)) => Some(Number::Float(-0.0)),
            (true, Ok(value)) => Some(Number::Negative(-value)),
            (true, Err(_)) => long(self.text),
        }
    }
}

/// Appends the digits that a text begins with to a mantissa; gives their number. Of more than 19, what the mantissa holds is
/// of no use.
#[inline]
pub fn digits(text: &[u8], mantissa: &mut u64) -> usize {
    let mut taken = 0;
    while let Some(value) = text[taken..].first_chunk().and_then(|bytes| eight(*bytes)) {
        *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(value);
        taken += 8;
    }
    while let Some(byte @ b'0'..=b'9') = text.get(taken) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        taken += 1;
    }
    taken
}

/// Eight digits at once: each byte is a digit, pairs are made of bytes, fours of pairs, and the eight of fours.
#[inline]
fn eight(bytes: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    let text = u64::from_le_bytes(bytes);
    let over_nine = text.wrapping_add(0x0606_0606_0606_0606);
    if (text & HIGH) != ZEROS || (over_nine & HIGH) != ZEROS {
        return None;
    }
    let ones = text - ZEROS;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

/// A number with more digits than one step is exact for, by the standard library.
fn fraction(text: &[u8]) -> Option<Number> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(Number::Float(value))
}

/// An integer of many digits; one that no integer type holds is a float.
#[cold]
fn long(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(value) = text.parse() {
        return Some(Number::Unsigned(value));
    }
    if let Ok(value) = text.parse() {
        return Some(Number::Negative(value));
    }
    fraction(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Reader;
    use proptest::prelude::*;

    fn single(text: &str) -> Option<f32> {
        Reader::new(text.as_bytes()).decimal().unwrap().single()
    }

    #[test]
    fn eight_digits_are_what_they_say() {
        assert_eq!(eight(*b"12345678"), Some(12_345_678));
        assert_eq!((eight(*b"99999999"), eight(*b"00000000")), (Some(99_999_999), Some(0)));
        for no in [b"1234567/", b"1234567:", b"123456 8", b"\xb12345678"] {
            assert_eq!(eight(*no), None);
        }
    }

    /// The middle between two singles, and a hair above and below it: where one rounding too many shows.
    #[test]
    fn a_single_is_rounded_once() {
        for bits in (0x3F80_0000..0x3F80_0100).chain([0x0080_0000, 0x7F7F_FFFE, 0x0000_0001]) {
            let (low, high) = (f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits + 1)));
            let middle = f64::midpoint(low, high);
            for value in [middle, middle.next_up(), middle.next_down()] {
                for text in [format!("{value}"), format!("{value:.18}"), format!("{value:e}")] {
                    assert_eq!(single(&text), text.parse().ok(), "{text}");
                }
            }
        }
        assert_eq!((single("3.5e38"), single("-1e39")), (None, None));
    }

    proptest! {
        #[test]
        fn singles_are_those_of_the_standard_library(
            value in any::<f64>().prop_filter("JSON has these", |value| value.is_finite()),
            mantissa in 0..=u64::MAX,
            exponent in -60..40i32,
        ) {
            let close = (value as f32).clamp(f32::MIN, f32::MAX);
            let long = [format!("{mantissa}e{exponent}"), format!("0.{mantissa}"), format!("0.000{mantissa}"), format!("-0.0e{exponent}")];
            for text in long.into_iter().chain([value.to_string(), close.to_string()]) {
                let read = single(&text);
                let expected = text.parse::<f32>().ok().filter(|single| single.is_finite());
                prop_assert_eq!(read.map(f32::to_bits), expected.map(f32::to_bits), "{}", text);
            }
        }
    }
}
