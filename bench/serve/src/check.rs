//! Whether answers are right: read in full at first, then compared by their bytes, which costs next to nothing.

use crate::{
    case::Case,
    tensor::{Values, distance},
    wire::Wire,
};
use anyhow::{Context, Result, ensure};
use std::sync::OnceLock;

/// What the bodies of a case must be answered by, and the bytes that were found right.
pub struct Check {
    wire: Wire,
    tolerance: f64,
    expected: Vec<Vec<(String, Vec<f64>)>>,
    right: Vec<OnceLock<Vec<u8>>>,
}

impl Check {
    /// For the answers of one server on one wire.
    pub fn new(case: &Case, wire: Wire) -> Self {
        let one = |tensor: &crate::tensor::Tensor| (tensor.name.clone(), tensor.values.numbers());
        let expected: Vec<Vec<_>> = case.bodies.iter().map(|body| body.expected.iter().map(one).collect()).collect();
        let right = expected.iter().map(|_| OnceLock::new()).collect();
        Self { wire, tolerance: case.model.tolerance(), expected, right }
    }

    /// For a server whose answers mean nothing: that there is one, well formed, is all.
    pub fn of_nothing(mut self) -> Self {
        self.expected.iter_mut().for_each(Vec::clear);
        self
    }

    /// Checks the answer to a body; `json_length` as [`Wire::outputs`] has it.
    pub fn answer(&self, body: usize, answer: &[u8], json_length: Option<usize>) -> Result<()> {
        if self.right[body].get().is_some_and(|right| right == answer) {
            return Ok(());
        }
        let outputs = self.wire.outputs(answer, json_length)?;
        for (name, expected) in &self.expected[body] {
            let (_, values): &(String, Values) =
                outputs.iter().find(|(given, _)| given == name).with_context(|| format!("no output {name}"))?;
            let far = distance(&values.numbers(), expected);
            ensure!(far <= self.tolerance, "output {name} of body {body} is off by {far:.2e} of its length");
        }
        // Another thread may have been faster.
        drop(self.right[body].set(answer.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        case::{Body, Model},
        tensor::Tensor,
    };

    #[test]
    fn wrong_and_missing_outputs_are_found() {
        let expected = vec![Tensor { name: "y".to_owned(), shape: vec![1, 2], values: Values::Fp32(vec![3.0, 4.0]) }];
        let bodies = vec![Body { expected, ..Body::default() }];
        let check = Check::new(&Case { model: Model::Tiny, path: "none".into(), bodies }, Wire::Json);
        let answer = |name: &str, data: &str| {
            let text = format!(r#"{{"outputs":[{{"name":"{name}","datatype":"FP32","shape":[1,2],"data":{data}}}]}}"#);
            check.answer(0, text.as_bytes(), None).map_err(|error| error.to_string())
        };
        assert_eq!(answer("y", "[3.0, 4.0]"), Ok(()));
        assert_eq!(answer("y", "[[3.0, 4.0]]"), Ok(()), "other bytes, and right");
        assert!(answer("y", "[3.0, 5.0]").unwrap_err().contains("off by"));
        assert!(answer("y", "[3.0]").unwrap_err().contains("off by"));
        assert!(answer("z", "[3.0, 4.0]").unwrap_err().contains("no output y"));
    }
}
