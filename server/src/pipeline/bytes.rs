//! Windows from both ends of the raw input, one integer for each byte.

use super::{Class, Note, Prepared, Runs, Value};
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, Tensor},
};
use millrace_crds as crds;

/// A bytes step that fits its model's one input.
pub struct BytesStep {
    spec: crds::Bytes,
    head: usize,
    tail: usize,
    block: usize,
    input: String,
    datatype: Datatype,
}

/// White space as the schema says: ASCII, vertical tab and form feed included.
fn white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl BytesStep {
    /// Checks the step against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::Bytes, signature: &Signature) -> Result<Self, String> {
        let size = |number: u32| usize::try_from(number).map_err(|_| "preprocess: bytes is too large".to_owned());
        let (head, tail, block) = (size(spec.head)?, size(spec.tail)?, size(spec.block)?);
        let takes = Signature::describe(&signature.inputs);
        let unfit = |what: String| format!("preprocess: bytes makes {what}; the model takes {takes}");
        let [input] = signature.inputs.as_slice() else { return Err(unfit("one tensor".to_owned())) };
        let fits_type = matches!(input.datatype, Datatype::Int32 | Datatype::Int64 | Datatype::Fp32);
        if !fits_type || !input.takes(&[1, head + tail]) {
            return Err(unfit(format!("integers [1, {}]", head + tail)));
        }
        if head > block || tail > block {
            return Err("preprocess: bytes takes more from an end than block reads there".to_owned());
        }
        if i64::from(spec.padding) > 1 << 24 && input.datatype == Datatype::Fp32 {
            return Err(unfit(format!("the padding {}", spec.padding)));
        }
        Ok(Self { spec: spec.clone(), head, tail, block, input: input.name.clone(), datatype: input.datatype })
    }

    /// The tensor of an input, or the answer for one with too little in it.
    #[must_use]
    pub fn prepare(&self, raw: &[u8]) -> Prepared {
        let read = raw.len().min(self.block);
        let (mut head, mut tail) = (&raw[..read], &raw[raw.len() - read..]);
        if self.spec.strip {
            head = &head[head.iter().position(|&byte| !white(byte)).unwrap_or(read)..];
            tail = &tail[..tail.iter().rposition(|&byte| !white(byte)).map_or(0, |at| at + 1)];
        }
        if let Some(short) = &self.spec.short_input {
            let least = usize::try_from(short.min_bytes).unwrap_or(usize::MAX);
            if raw.len() < least || head.len() < least {
                let label = if raw.is_empty() {
                    &short.empty
                } else if std::str::from_utf8(&raw[..read]).is_ok() {
                    &short.text
                } else {
                    &short.binary
                };
                return Prepared::Answer(Value::Class(Class { label: label.to_string(), score: 1.0 }));
            }
        }
        let mut tokens = vec![self.spec.padding; self.head + self.tail];
        for (token, &byte) in tokens.iter_mut().zip(&head[..head.len().min(self.head)]) {
            *token = i32::from(byte);
        }
        for (token, &byte) in tokens.iter_mut().rev().zip(tail.iter().rev().take(self.tail)) {
            *token = i32::from(byte);
        }
        let shape = vec![1, tokens.len()];
        #[allow(clippy::cast_precision_loss)]
        let data = match self.datatype {
            Datatype::Int64 => Data::Int64(tokens.into_iter().map(i64::from).collect()),
            Datatype::Fp32 => Data::Fp32(tokens.into_iter().map(|token| token as f32).collect()),
            _ => Data::Int32(tokens),
        };
        Prepared::Runs(Runs::one(vec![Tensor { name: self.input.clone(), shape, data }], Note::None))
    }
}
