//! One column: what a cell may be, and the number or text that it becomes.

use crate::protocol::data::Datatype;
use bytes::Bytes;
use millrace_crds as crds;
use std::collections::HashMap;

/// A column that fits its input.
pub struct Column {
    /// Its key.
    pub name: String,
    codes: HashMap<String, f64>,
    unknown: Option<f64>,
    missing: Option<f64>,
    mean: f64,
    std: f64,
    pub(super) datatype: Datatype,
}

/// What a record says of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// null, or no key.
    Missing,
    /// A number, or true (1) or false (0).
    Number(f64),
    /// true or false.
    Bool(bool),
    /// A text.
    Text(&'a str),
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers, scaled.
    Numbers(Vec<f64>),
    /// Texts, for a model that takes them as they are.
    Texts(Vec<Bytes>),
}

impl Column {
    /// Checks a column against the type of the input that it goes to.
    ///
    /// # Errors
    /// A sentence that names the column.
    pub fn compile(spec: &crds::Column, datatype: Datatype) -> Result<Self, String> {
        let name = spec.name.to_string();
        let wrong = |what: &str| Err(format!("preprocess: records: column {name}: {what}"));
        let numbers = [spec.unknown, spec.missing, spec.mean, spec.std];
        if numbers.iter().flatten().any(|number| !number.is_finite()) {
            return wrong("its numbers must be finite");
        }
        if spec.std == Some(0.0) {
            return wrong("std is 0");
        }
        if spec.missing.is_some() && spec.missing_as_nan {
            return wrong("give missing or missingAsNaN");
        }
        if spec.unknown.is_some() && spec.categories.is_empty() {
            return wrong("unknown is for columns with categories");
        }
        let scaled = spec.mean.is_some() || spec.std.is_some();
        if datatype == Datatype::Bytes && (scaled || spec.unknown.is_some() || spec.missing.is_some()) {
            return wrong("the model takes it as BYTES, so it has no unknown, missing, mean or std");
        }
        let float = matches!(datatype, Datatype::Fp32 | Datatype::Fp64 | Datatype::Fp16 | Datatype::Bf16);
        if !float && (scaled || spec.missing_as_nan) {
            return wrong(&format!("the model takes it as {}, so it has no mean, std or NaN", datatype.name()));
        }
        let mut codes = HashMap::with_capacity(spec.categories.len());
        for (code, category) in (0u32..).zip(&spec.categories) {
            if codes.insert(category.to_string(), f64::from(code)).is_some() {
                return wrong(&format!("the category {:?} is there twice", category.as_str()));
            }
        }
        let missing = if spec.missing_as_nan { Some(f64::NAN) } else { spec.missing };
        let (mean, std) = (spec.mean.unwrap_or(0.0), spec.std.unwrap_or(1.0));
        Ok(Self { name, codes, unknown: spec.unknown, missing, mean, std, datatype })
    }

    /// Its categories, in their order; none: it has none.
    #[must_use]
    pub fn categories(&self) -> Vec<&str> {
        let mut categories: Vec<_> = self.codes.iter().collect();
        categories.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        categories.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Whether it takes texts that are none of its categories.
    #[must_use]
    pub fn takes_unknown(&self) -> bool {
        self.unknown.is_some()
    }

    /// Whether a record may do without it.
    #[must_use]
    pub fn may_be_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// No values yet.
    #[must_use]
    pub fn values(&self) -> Values {
        if self.datatype == Datatype::Bytes { Values::Texts(Vec::new()) } else { Values::Numbers(Vec::new()) }
    }

    /// Adds a cell.
    ///
    /// # Errors
    /// What is wrong with it, in a few words that follow the column's name.
    pub fn add(&self, cell: &Cell<'_>, values: &mut Values) -> Result<(), String> {
        match values {
            Values::Texts(texts) => texts.push(match cell {
                Cell::Text(text) if !self.codes.is_empty() && !self.codes.contains_key(*text) => {
                    return Err(no_category(text));
                }
                Cell::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
                Cell::Missing => return Err(MISSING_TEXT.to_owned()),
                other => return Err(format!("is {}, and should be a text", describe(other))),
            }),
            Values::Numbers(numbers) => {
                let number = (self.number(cell)? - self.mean) / self.std;
                self.check(number)?;
                numbers.push(number);
            }
        }
        Ok(())
    }

    fn number(&self, cell: &Cell<'_>) -> Result<f64, String> {
        let code = |text: &str| {
            let found = self.codes.get(text).copied().or(self.unknown);
            found.ok_or_else(|| no_category(text))
        };
        match cell {
            Cell::Missing => self.missing.ok_or_else(|| MISSING.to_owned()),
            Cell::Text(text) if self.codes.is_empty() => Err(format!("is the text {text:?}, and should be a number")),
            Cell::Text(text) => code(text),
            Cell::Number(number) if self.codes.is_empty() => Ok(*number),
            Cell::Bool(truth) if self.codes.is_empty() => Ok(f64::from(u8::from(*truth))),
            Cell::Number(number) => code(&number.to_string()),
            Cell::Bool(truth) => code(&truth.to_string()),
        }
    }

    /// A number that the model's type can't hold would become another one in silence.
    fn check(&self, number: f64) -> Result<(), String> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let fits = match self.datatype {
            Datatype::Fp32 => number.is_nan() || (number as f32).is_finite(),
            Datatype::Int64 => number.fract() == 0.0 && number.abs() < (1i64 << 53) as f64,
            Datatype::Int32 => number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX),
            Datatype::Bool => number == 0.0 || number == 1.0,
            _ => true,
        };
        if fits { Ok(()) } else { Err(format!("is {number:?}, which is no {}", self.datatype.name())) }
    }
}

const MISSING: &str = "is missing; give it, or set missing or missingAsNaN for the column";
const MISSING_TEXT: &str = "is missing";

fn no_category(text: &str) -> String {
    format!("is {text:?}, which is none of its categories")
}

fn describe(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Missing => "missing".to_owned(),
        Cell::Number(number) => format!("the number {number}"),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Text(text) => format!("the text {text:?}"),
    }
}
