//! How columns lie in the model's inputs.

use super::{Table, column::Values, unprocessable};
use crate::{
    error::{Error, Kind},
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use half::{bf16, f16};
use millrace_crds as crds;

/// Where columns go.
pub enum Fit {
    /// All into one input, side by side.
    Matrix {
        /// The input.
        input: TensorSpec,
        /// Windows over the rows.
        window: Option<Window>,
    },
    /// Each into an input of its name, `[batch, 1]` or `[batch]`, in the order of columns.
    Columns(Vec<TensorSpec>),
}

/// Windows in rows.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    length: usize,
    stride: usize,
}

fn takes_numbers(datatype: Datatype) -> bool {
    use Datatype::{Bf16, Bool, Fp16, Fp32, Fp64, Int32, Int64};
    matches!(datatype, Fp32 | Fp64 | Fp16 | Bf16 | Int64 | Int32 | Bool)
}

impl Fit {
    /// Finds the way from columns to inputs.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn of(spec: &crds::Records, signature: &Signature) -> Result<Self, String> {
        let takes = Signature::describe(&signature.inputs);
        let count = spec.columns.len();
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(window) = &spec.window {
            let window = Window { length: size(window.length).max(1), stride: size(window.stride).max(1) };
            return match signature.inputs.as_slice() {
                [input] if takes_numbers(input.datatype) && input.takes_any(&[window.length, count]) => {
                    Ok(Self::Matrix { input: input.clone(), window: Some(window) })
                }
                _ => Err(format!(
                    "preprocess: records makes numbers [windows, {}, {count}]; the model takes {takes}",
                    window.length
                )),
            };
        }
        if let [input] = signature.inputs.as_slice()
            && takes_numbers(input.datatype)
            && input.takes_any(&[count])
            && !(count == 1 && input.name == spec.columns[0].name.as_str())
        {
            return Ok(Self::Matrix { input: input.clone(), window: None });
        }
        let named = |column: &crds::Column| {
            let found = signature.inputs.iter().find(|input| input.name == column.name.as_str())?;
            let fits = found.shape.len() == 1 || found.takes_any(&[1]);
            (fits && (takes_numbers(found.datatype) || found.datatype == Datatype::Bytes)).then(|| found.clone())
        };
        let inputs: Option<Vec<TensorSpec>> = spec.columns.iter().map(named).collect();
        inputs.filter(|inputs| inputs.len() == signature.inputs.len()).map(Self::Columns).ok_or_else(|| {
            let names: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
            format!(
                "preprocess: records makes numbers [batch, {count}], or [batch, 1] for each of {}; the model takes {takes}",
                names.join(", ")
            )
        })
    }

    /// The type of the input that a column goes to.
    #[must_use]
    pub fn datatype(&self, column: usize) -> Datatype {
        match self {
            Self::Matrix { input, .. } => input.datatype,
            Self::Columns(inputs) => inputs[column].datatype,
        }
    }

    /// Tensors, and their number of rows.
    ///
    /// # Errors
    /// 422: a series that is shorter than a window.
    pub fn tensors(&self, table: &Table) -> Result<(Vec<Tensor>, usize), Error> {
        match self {
            Self::Columns(inputs) => {
                let tensors = inputs.iter().zip(&table.columns).map(|(input, values)| {
                    let data = match values {
                        Values::Numbers(numbers) => data(input.datatype, numbers.iter().copied()),
                        Values::Texts(texts) => Data::Bytes(texts.clone()),
                    };
                    let shape = if input.shape.len() == 1 { vec![table.rows] } else { vec![table.rows, 1] };
                    Tensor { name: input.name.clone(), shape, data }
                });
                Ok((tensors.collect(), table.rows))
            }
            Self::Matrix { input, window } => {
                let columns: Option<Vec<&[f64]>> = table.columns.iter().map(Values::numbers).collect();
                let columns =
                    columns.ok_or_else(|| Error::new(Kind::Engine, "a column of texts in a table of numbers"))?;
                let (starts, length) = match window {
                    None => ((0..table.rows).collect::<Vec<_>>(), 1),
                    Some(window) => (window.starts(table.rows)?, window.length),
                };
                let cells = starts
                    .iter()
                    .flat_map(|&from| from..from + length)
                    .flat_map(|row| columns.iter().map(move |column| column[row]));
                let shape = match window {
                    None => vec![starts.len(), columns.len()],
                    Some(_) => vec![starts.len(), length, columns.len()],
                };
                Ok((vec![Tensor { name: input.name.clone(), shape, data: data(input.datatype, cells) }], starts.len()))
            }
        }
    }
}

impl Window {
    fn starts(self, rows: usize) -> Result<Vec<usize>, Error> {
        if rows < self.length {
            return Err(unprocessable(format!(
                "the series has {rows} records; records.window.length needs {} at least",
                self.length
            )));
        }
        Ok((0..=rows - self.length).step_by(self.stride).collect())
    }
}

impl TensorSpec {
    /// Whether a row of these dimensions fits, whatever the batch.
    fn takes_any(&self, row: &[usize]) -> bool {
        self.shape.len() == row.len() + 1
            && self.shape[1..].iter().zip(row).all(|(&want, &have)| want < 0 || usize::try_from(want) == Ok(have))
    }
}

impl Values {
    fn numbers(&self) -> Option<&[f64]> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            Self::Texts(_) => None,
        }
    }
}

/// Numbers of a type; each was found to fit it.
#[allow(clippy::cast_possible_truncation)]
fn data(datatype: Datatype, numbers: impl Iterator<Item = f64>) -> Data {
    match datatype {
        Datatype::Fp64 => Data::Fp64(numbers.collect()),
        Datatype::Fp16 => Data::Fp16(numbers.map(f16::from_f64).collect()),
        Datatype::Bf16 => Data::Bf16(numbers.map(bf16::from_f64).collect()),
        Datatype::Int64 => Data::Int64(numbers.map(|number| number as i64).collect()),
        Datatype::Int32 => Data::Int32(numbers.map(|number| number as i32).collect()),
        Datatype::Bool => Data::Bool(numbers.map(|number| number != 0.0).collect()),
        _ => Data::Fp32(numbers.map(|number| number as f32).collect()),
    }
}
