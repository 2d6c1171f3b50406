//! Which of a model's inputs take tokens, by the names that exporters give them.

use crate::protocol::{
    data::Datatype,
    tensor::{Signature, TensorSpec},
};

/// The inputs, found and checked.
pub struct Inputs {
    /// In the model's order.
    pub list: Vec<Input>,
    /// The number of tokens that the model takes, if it is fixed.
    pub length: Option<usize>,
    /// The model's inputs, for messages.
    pub takes: String,
}

/// One input.
pub struct Input {
    /// Its name.
    pub name: String,
    /// What goes in.
    pub role: Role,
    /// 64-bit integers, else 32-bit ones.
    pub long: bool,
}

/// What an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ids of tokens.
    Ids,
    /// 1 for tokens, 0 for padding.
    Mask,
    /// Which text of a pair a token belongs to.
    Types,
}

impl Inputs {
    /// Matches by name.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn of(signature: &Signature, types: bool) -> Result<Self, String> {
        let takes = Signature::describe(&signature.inputs);
        let makes = if types { "input_ids, attention_mask, token_type_ids" } else { "input_ids, attention_mask" };
        let unfit =
            || format!("preprocess: tokenize makes integers [batch, tokens] named {makes}; the model takes {takes}");
        let mut length = None;
        let list: Option<Vec<Input>> = signature.inputs.iter().map(|spec| input(spec, types, &mut length)).collect();
        let list = list.ok_or_else(unfit)?;
        let has = |role| list.iter().any(|input| input.role == role);
        if !has(Role::Ids) || has(Role::Types) != types {
            return Err(unfit());
        }
        Ok(Self { list, length, takes })
    }
}

fn input(spec: &TensorSpec, types: bool, length: &mut Option<usize>) -> Option<Input> {
    let role = match spec.name.as_str() {
        "input_ids" => Role::Ids,
        "attention_mask" => Role::Mask,
        "token_type_ids" if types => Role::Types,
        _ => return None,
    };
    let long = match spec.datatype {
        Datatype::Int64 => true,
        Datatype::Int32 => false,
        _ => return None,
    };
    let [_, tokens] = spec.shape.as_slice() else { return None };
    if let Ok(tokens) = usize::try_from(*tokens)
        && length.replace(tokens).is_some_and(|other| other != tokens)
    {
        return None;
    }
    Some(Input { name: spec.name.clone(), role, long })
}
