//! Parameters of a request, an input or an output in JSON: those that are acted upon, and those that are refused.

use super::json::{Fault, Number, Reader};
use crate::error::{Error, Kind};

/// Parameters that would change the meaning of the request, if they were ignored.
const REFUSED: [&str; 3] = ["shared_memory_region", "classification", "sequence_id"];

/// What parameters say; each is only looked for where the protocol has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters {
    refused: Option<&'static str>,
    /// Bytes of an input's raw tensor; an error: it is no such number.
    pub binary_data_size: Option<Result<usize, ()>>,
    /// An output as raw bytes.
    pub binary_data: Option<bool>,
    /// All outputs as raw bytes.
    pub binary_data_output: Option<bool>,
    /// 1 is the most urgent.
    pub priority: Option<u64>,
    /// Longest time for an answer in microseconds.
    pub timeout: Option<u64>,
}

/// A value as parameters have it.
enum Scalar {
    Unsigned(u64),
    Bool(bool),
    /// Null, or an empty text.
    Nothing,
    Other,
}

impl Parameters {
    /// Reads an object.
    ///
    /// # Errors
    /// No object is next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut parameters = Self::default();
        reader.object(|reader, key| {
            let value = scalar(reader)?;
            let unsigned = if let Scalar::Unsigned(value) = value { Some(value) } else { None };
            let boolean = if let Scalar::Bool(value) = value { Some(value) } else { None };
            match key {
                "binary_data_size" => {
                    let size = unsigned.and_then(|size| usize::try_from(size).ok());
                    parameters.binary_data_size = Some(size.ok_or(()));
                }
                "binary_data" => parameters.binary_data = boolean,
                "binary_data_output" => parameters.binary_data_output = boolean,
                "priority" => parameters.priority = unsigned,
                "timeout" => parameters.timeout = unsigned,
                _ if matches!(value, Scalar::Nothing | Scalar::Unsigned(0)) => {}
                _ => parameters.refused = REFUSED.into_iter().find(|name| *name == key).or(parameters.refused),
            }
            Ok::<_, Fault>(())
        })?;
        Ok(parameters)
    }

    /// What can't be ignored is refused.
    ///
    /// # Errors
    /// 501, naming the parameter.
    pub fn check(&self) -> Result<(), Error> {
        match self.refused {
            None => Ok(()),
            Some(key) => Err(Error::new(Kind::Unsupported, format!("the parameter {key} isn't supported"))),
        }
    }
}

fn scalar(reader: &mut Reader<'_>) -> Result<Scalar, Fault> {
    Ok(match reader.peek() {
        b'"' => {
            if reader.string()?.is_empty() {
                Scalar::Nothing
            } else {
                Scalar::Other
            }
        }
        b't' | b'f' => match reader.boolean() {
            Some(value) => Scalar::Bool(value),
            None => return Err(reader.fault("expected a value")),
        },
        b'-' | b'0'..=b'9' => match reader.number()? {
            Number::Unsigned(value) => Scalar::Unsigned(value),
            _ => Scalar::Other,
        },
        _ if reader.null() => Scalar::Nothing,
        _ => {
            reader.skip()?;
            Scalar::Other
        }
    })
}
