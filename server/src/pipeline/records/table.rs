//! JSON to columns, in one pass: no tree of values in between.

use super::{
    RecordsStep,
    column::{Cell, Values},
    unprocessable,
};
use crate::error::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// The columns of a request, all of the same length.
#[derive(Debug)]
pub struct Table {
    /// Values, in the order of the step's columns.
    pub columns: Vec<Values>,
    /// Records.
    pub rows: usize,
    /// The body was one record, not a list or columns.
    pub single: bool,
}

/// Reads a body.
///
/// # Errors
/// 400 for broken JSON; 422 for what doesn't fit.
pub fn read(body: &[u8], step: &RecordsStep) -> Result<Table, Error> {
    let columns = step.columns.iter().map(|column| column.values()).collect();
    let mut table = Table { columns, rows: 0, single: false };
    let mut parser = serde_json::Deserializer::from_slice(body);
    Body { step, table: &mut table }.deserialize(&mut parser).and_then(|()| parser.end()).map_err(
        |error| match error.classify() {
            serde_json::error::Category::Data => unprocessable(error.to_string()),
            _ => Error::invalid(format!("the body is no JSON: {error}")),
        },
    )?;
    if table.rows == 0 {
        return Err(unprocessable("the request holds no record".to_owned()));
    }
    Ok(table)
}

const FORMS: &str = r#"records: {"a": 1, "b": 2}, a list of such objects, or columns {"a": [1, 2], "b": [3, 4]}"#;

/// The whole body.
struct Body<'t> {
    step: &'t RecordsStep,
    table: &'t mut Table,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Record { step: self.step, table: self.table })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Whether it is a record or columns is known from its first value.
        let mut lists = None;
        let seen = read_keys(self.step, self.table, &mut map, |key, list| {
            if lists.replace(list).is_some_and(|before| before != list) {
                return Err(format!("column {key:?}: some columns are lists and others aren't; send {FORMS}"));
            }
            Ok(())
        })?;
        self.table.single = lists != Some(true);
        let rows = if self.table.single {
            1
        } else {
            seen.iter()
                .zip(&self.table.columns)
                .filter(|(seen, _)| **seen)
                .map(|(_, column)| column.len())
                .max()
                .unwrap_or(0)
        };
        for (at, column) in self.step.columns.iter().enumerate() {
            let have = self.table.columns[at].len();
            if seen[at] && have != rows {
                return Err(A::Error::custom(format!(
                    "column {:?} has {have} values; another has {rows}",
                    column.name
                )));
            }
            for row in have..rows {
                add(self.step, self.table, (at, row), &Cell::Missing)?;
            }
        }
        self.table.rows = rows;
        Ok(())
    }
}

/// One object of a list.
struct Record<'t> {
    step: &'t RecordsStep,
    table: &'t mut Table,
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object as record {}", self.table.rows)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.table.rows;
        let seen = read_keys(self.step, self.table, &mut map, |key, list| match list {
            true => Err(format!("record {row}: column {key:?} is a list, and should be one value")),
            false => Ok(()),
        })?;
        for (at, _) in seen.iter().enumerate().filter(|(_, seen)| !**seen) {
            add(self.step, self.table, (at, row), &Cell::Missing)?;
        }
        self.table.rows += 1;
        Ok(())
    }
}

/// Reads an object's keys, each a column once, and says which were there. `fits` is told of each value whether it was a
/// list, and may refuse it.
fn read_keys<'de, A: MapAccess<'de>>(
    step: &RecordsStep,
    table: &mut Table,
    map: &mut A,
    mut fits: impl FnMut(&str, bool) -> Result<(), String>,
) -> Result<Vec<bool>, A::Error> {
    let mut seen = vec![false; step.columns.len()];
    while let Some(key) = map.next_key::<Cow<'de, str>>()? {
        let Some(at) = known(step, &key)? else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        once(&mut seen, at, &key)?;
        let list = map.next_value_seed(Entry { step, table: &mut *table, at })?;
        fits(&key, list).map_err(A::Error::custom)?;
    }
    Ok(seen)
}

/// The column of a key; `None`: it is passed over.
fn known<E: serde::de::Error>(step: &RecordsStep, key: &str) -> Result<Option<usize>, E> {
    let found = step.position(key);
    if found.is_none() && !step.ignore_unknown {
        let names: Vec<&str> = step.columns.iter().map(|column| column.name.as_str()).collect();
        return Err(E::custom(format!("there is no column {key:?}; the service takes {}", names.join(", "))));
    }
    Ok(found)
}

fn once<E: serde::de::Error>(seen: &mut [bool], at: usize, key: &str) -> Result<(), E> {
    if std::mem::replace(&mut seen[at], true) {
        return Err(E::custom(format!("column {key:?} is given twice")));
    }
    Ok(())
}

/// Adds a cell; the errors of cells are made here.
fn add<E: serde::de::Error>(
    step: &RecordsStep,
    table: &mut Table,
    (at, row): (usize, usize),
    cell: &Cell<'_>,
) -> Result<(), E> {
    let column = &step.columns[at];
    if row >= step.max_rows {
        return Err(E::custom(format!("the request has more than the {} records of records.maxRows", step.max_rows)));
    }
    column
        .add(cell, &mut table.columns[at])
        .map_err(|what| E::custom(format!("record {row}: column {:?} {what}", column.name)))
}

/// The value of a key: a cell (`false`), or a list of cells (`true`).
struct Entry<'t> {
    step: &'t RecordsStep,
    table: &'t mut Table,
    at: usize,
}

impl Entry<'_> {
    fn add<E: serde::de::Error>(self, cell: &Cell<'_>) -> Result<bool, E> {
        let row = self.table.columns[self.at].len();
        add(self.step, self.table, (self.at, row), cell).map(|()| false)
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, a text, true, false or null in column {:?}", self.step.columns[self.at].name)
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        self.add(&Cell::Missing)
    }
    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<bool, E> {
        self.add(&Cell::Bool(truth))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<bool, E> {
        self.add(&Cell::Number(number as f64))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<bool, E> {
        self.add(&Cell::Number(number as f64))
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<bool, E> {
        self.add(&Cell::Number(number))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        self.add(&Cell::Text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<bool, A::Error> {
        let Self { step, table, at } = self;
        loop {
            match sequence.next_element_seed(Entry { step, table: &mut *table, at })? {
                None => return Ok(true),
                Some(false) => {}
                Some(true) => {
                    return Err(A::Error::custom(format!("column {:?} holds a list in a list", step.columns[at].name)));
                }
            }
        }
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }
}
