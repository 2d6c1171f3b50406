//! Tensors as the bench sends and compares them: the two element types that its models take.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

/// Elements, row by row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// FP32.
    Fp32(Vec<f32>),
    /// INT64.
    Int64(Vec<i64>),
}

impl Values {
    /// The element type's name in the protocol.
    pub fn datatype(&self) -> &'static str {
        match self {
            Self::Fp32(_) => "FP32",
            Self::Int64(_) => "INT64",
        }
    }

    /// As raw little-endian bytes.
    pub fn to_le(&self) -> Vec<u8> {
        match self {
            Self::Fp32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Int64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// From raw little-endian bytes of a named element type.
    pub fn from_le(datatype: &str, raw: &[u8]) -> Result<Self> {
        Ok(match datatype {
            "FP32" => Self::Fp32(raw.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()),
            "INT64" => Self::Int64(raw.as_chunks().0.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect()),
            other => bail!("an output of the type {other}"),
        })
    }

    /// From JSON arrays and objects, flat or nested: the numbers in them.
    pub fn from_json(value: &Value) -> Result<Self> {
        fn gather(value: &Value, into: &mut Vec<f32>) -> Result<()> {
            match value {
                Value::Array(values) => values.iter().try_for_each(|value| gather(value, into)),
                Value::Object(members) => members.values().try_for_each(|value| gather(value, into)),
                other => {
                    into.push(other.as_f64().with_context(|| format!("{other} among the numbers of an answer"))? as f32);
                    Ok(())
                }
            }
        }
        let mut values = Vec::new();
        gather(value, &mut values)?;
        Ok(Self::Fp32(values))
    }

    /// The elements as numbers.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Fp32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Self::Int64(values) => values.iter().map(|&value| value as f64).collect(),
        }
    }
}

/// A named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<i64>,
    /// Its elements.
    pub values: Values,
}

impl Tensor {
    /// The same tensor so often, one below the other.
    pub fn repeat(&self, times: usize) -> Self {
        let values = match &self.values {
            Values::Fp32(values) => Values::Fp32(values.repeat(times)),
            Values::Int64(values) => Values::Int64(values.repeat(times)),
        };
        let mut shape = self.shape.clone();
        shape[0] *= times as i64;
        Self { name: self.name.clone(), shape, values }
    }
}

/// How far an answer is from what was expected: the length of the difference over the length of the expected.
pub fn distance(answer: &[f64], expected: &[f64]) -> f64 {
    if answer.len() != expected.len() {
        return f64::INFINITY;
    }
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = length(&mut answer.iter().zip(expected).map(|(a, b)| a - b));
    difference / length(&mut expected.iter().copied()).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let values = Values::Int64(vec![1, -2]);
        assert_eq!(Values::from_le("INT64", &values.to_le()).unwrap(), values);
        assert_eq!(
            Values::from_json(&serde_json::json!([[0.5, 1], [2, 3]])).unwrap(),
            Values::Fp32(vec![0.5, 1.0, 2.0, 3.0])
        );
        assert!(Values::from_json(&serde_json::json!(["x"])).is_err());
    }

    #[test]
    fn distances_are_relative() {
        assert_eq!(distance(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert!((distance(&[6.0, 8.0], &[3.0, 4.0]) - 1.0).abs() < 1e-12);
        assert_eq!(distance(&[1.0], &[1.0, 2.0]), f64::INFINITY);
        assert!(distance(&[f64::NAN], &[1.0]).is_nan(), "which is within no tolerance");
    }
}
