//! JSON in one pass, for readers who know what they expect: no tree of values, and nothing is looked at twice.

pub use super::json_number::Number;

use super::json_number::{self, Decimal};
use memchr::memchr3;
use std::{borrow::Cow, fmt};

/// Deepest nesting of what is skipped.
const DEEPEST: usize = 128;

/// Where a text stops being what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    what: &'static str,
    at: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the beginning of a text.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What is wrong here.
    #[must_use]
    pub fn fault(&self, what: &'static str) -> Fault {
        Fault { what, at: self.at }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.text.len() - self.at
    }

    /// The next byte that is no white space; 0: the text has ended.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Takes the byte if it comes next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == byte && self.at < self.text.len();
        self.at += usize::from(next);
        next
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    /// Takes `null`, if it comes next.
    pub fn null(&mut self) -> bool {
        self.peek();
        self.word(b"null")
    }

    /// `true` or `false`; `None`: neither comes next.
    pub fn boolean(&mut self) -> Option<bool> {
        self.peek();
        if self.word(b"true") { Some(true) } else { self.word(b"false").then_some(false) }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let next = self.text[self.at..].starts_with(word);
        self.at += if next { word.len() } else { 0 };
        next
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.peek() == 0 && self.at == self.text.len() { Ok(()) } else { Err(self.fault("more than one value")) }
    }

    /// Reads an object: `member` is called after each key, and reads its value.
    ///
    /// # Errors
    /// No object is next, or `member` fails.
    pub fn object<E: From<Fault>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "expected an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "expected a colon")?;
            member(self, &key)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected a comma or the end of an object")?;
        }
    }

    /// Reads an array: `element` is called at each value, and reads it.
    ///
    /// # Errors
    /// No array is next, or `element` fails.
    #[inline]
    pub fn array<E: From<Fault>>(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.expect(b'[', "expected an array")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "expected a comma or the end of an array")?;
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// None is next, or it is no UTF-8.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"', "expected a string")?;
        let from = self.at;
        let mut plain = true;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(0x20..) => self.at += 1,
                Some(_) => return Err(self.fault("a control character in a string")),
                None => return Err(Fault { what: "a string that doesn't end", at: from }),
            }
        }
        let (quoted, inner) = (&self.text[from - 1..=self.at], &self.text[from..self.at]);
        self.at += 1;
        let read = if plain {
            std::str::from_utf8(inner).ok().map(Cow::Borrowed)
        } else {
            serde_json::from_slice(quoted).ok().map(Cow::Owned)
        };
        read.ok_or(Fault { what: "a string that is no UTF-8, or has an unknown escape", at: from })
    }

    /// Reads a number.
    ///
    /// # Errors
    /// None is next, or none that a double can hold.
    #[inline]
    pub fn number(&mut self) -> Result<Number, Fault> {
        self.decimal()?.number().ok_or_else(|| self.fault("a number that is too large"))
    }

    /// Reads the parts of a number.
    ///
    /// # Errors
    /// None is next.
    #[inline]
    pub fn decimal(&mut self) -> Result<Decimal<'a>, Fault> {
        self.peek();
        let from = self.at;
        let negative = self.text.get(from) == Some(&b'-');
        self.at += usize::from(negative);
        let (mut mantissa, zero) = (0u64, self.text.get(self.at) == Some(&b'0'));
        let mut digits = self.digits(&mut mantissa)?;
        if zero && digits > 1 {
            return Err(Fault { what: "a number that begins with 0", at: from });
        }
        let (mut exponent, mut float) = (0i64, false);
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            let from = self.at;
            // Zeros before the first other digit are none that the mantissa has to hold.
            while zero && self.text.get(self.at) == Some(&b'0') {
                self.at += 1;
            }
            let zeros = self.at - from;
            let places = if zeros > 0 { self.more_digits(&mut mantissa) } else { self.digits(&mut mantissa)? };
            digits = if zero { places } else { digits + places };
            (exponent, float) = (-i64::try_from(zeros + places).unwrap_or(i64::MAX), true);
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            exponent = exponent.saturating_add(self.exponent()?);
            float = true;
        }
        Ok(Decimal { text: &self.text[from..self.at], negative, mantissa, digits, exponent, float })
    }

    /// Takes digits, at least one, into the mantissa; gives their number.
    #[inline]
    fn digits(&mut self, mantissa: &mut u64) -> Result<usize, Fault> {
        let taken = self.more_digits(mantissa);
        if taken == 0 { Err(self.fault("expected a digit")) } else { Ok(taken) }
    }

    #[inline]
    fn more_digits(&mut self, mantissa: &mut u64) -> usize {
        let taken = json_number::digits(&self.text[self.at..], mantissa);
        self.at += taken;
        taken
    }

    #[inline]
    fn exponent(&mut self) -> Result<i64, Fault> {
        self.at += 1;
        let negative = self.text.get(self.at) == Some(&b'-');
        self.at += usize::from(matches!(self.text.get(self.at), Some(b'-' | b'+')));
        let mut value = 0;
        let digits = self.digits(&mut value)?;
        let value = if digits < 10 { i64::try_from(value).unwrap_or(i64::MAX) } else { i64::MAX / 2 };
        Ok(if negative { -value } else { value })
    }

    /// Skips a value; gives its text.
    ///
    /// # Errors
    /// No value is next, or it nests too deeply.
    pub fn skip(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let from = self.at;
        self.skip_nested(0)?;
        Ok(&self.text[from..self.at])
    }

    /// Passes over an array, of which it sees brackets and strings alone: who reads it later finds what else is wrong.
    ///
    /// # Errors
    /// No value is next, or it doesn't end.
    pub fn pass(&mut self) -> Result<&'a [u8], Fault> {
        if self.peek() != b'[' {
            return self.skip();
        }
        let (from, mut depth) = (self.at, 0usize);
        while let Some(next) = memchr3(b'[', b']', b'"', &self.text[self.at..]) {
            self.at += next;
            match self.text[self.at] {
                b'"' => drop(self.string()?),
                bracket => {
                    self.at += 1;
                    depth = if bracket == b'[' { depth + 1 } else { depth - 1 };
                    if depth == 0 {
                        return Ok(&self.text[from..self.at]);
                    }
                }
            }
        }
        Err(Fault { what: "an array that doesn't end", at: from })
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(self.fault("nested too deeply"));
        }
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' => self.object(|reader, _| reader.skip_nested(depth + 1)),
            b'[' => self.array(|reader| reader.skip_nested(depth + 1)),
            b't' | b'f' | b'n' if self.null() || self.boolean().is_some() => Ok(()),
            _ => self.number().map(drop),
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
