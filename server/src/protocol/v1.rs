//! KServe's v1 `:predict`: `{"instances": [...]}` to the model's one input, `{"predictions": [...]}` back.

use super::{
    json::Reader,
    json_data,
    request::Wrong,
    shape,
    tensor::{Signature, Tensor},
};
use crate::error::{Error, Kind};

/// Reads instances; their nesting is the tensor's shape.
///
/// # Errors
/// A model with several inputs, or instances that aren't arrays of its type.
pub fn parse(json: &[u8], signature: &Signature) -> Result<Vec<Tensor>, Error> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(Error::new(Kind::Unsupported, "predict takes models with one input; use /v2 for this one"));
    };
    let mut reader = Reader::new(json);
    let mut instances = None;
    let read = reader.object(|reader, key| {
        if key != "instances" {
            return Ok(reader.skip().map(drop)?);
        }
        instances = Some(json_data::parse(&spec.name, spec.datatype, reader, json.len())?);
        Ok::<_, Wrong>(())
    });
    read.and_then(|()| Ok(reader.end()?)).map_err(|wrong| wrong.told("the body has no instances"))?;
    let (data, dims) = instances.ok_or_else(|| Error::invalid("the body has no instances"))?;
    shape::count(&dims).ok_or_else(|| Error::invalid("the instances are too large"))?;
    Ok(vec![Tensor { name: spec.name.clone(), shape: dims, data }])
}

/// Writes predictions: arrays nested as the output's shape; objects by output name if there are several.
///
/// # Errors
/// Strings that aren't UTF-8.
pub fn encode(outputs: &[Tensor]) -> Result<Vec<u8>, Error> {
    let mut body = b"{\"predictions\":".to_vec();
    if let [output] = outputs {
        nest(&mut body, output, 0, 0, output.data.len())?;
    } else {
        body.push(b'{');
        for (at, output) in outputs.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            serde_json::to_writer(&mut body, &output.name)
                .map_err(|_| Error::new(Kind::Engine, "the answer can't be written"))?;
            body.push(b':');
            nest(&mut body, output, 0, 0, output.data.len())?;
        }
        body.push(b'}');
    }
    body.push(b'}');
    Ok(body)
}

fn nest(body: &mut Vec<u8>, tensor: &Tensor, depth: usize, from: usize, to: usize) -> Result<(), Error> {
    let dim = tensor.shape.get(depth).copied().unwrap_or(1);
    if depth + 1 >= tensor.shape.len() || dim == 0 {
        return json_data::write(body, &tensor.name, &tensor.data, from, to);
    }
    let step = (to - from) / dim;
    body.push(b'[');
    for at in 0..dim {
        if at > 0 {
            body.push(b',');
        }
        nest(body, tensor, depth + 1, from + at * step, from + (at + 1) * step)?;
    }
    body.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        data::{Data, Datatype},
        tensor::TensorSpec,
    };

    #[test]
    fn there_and_back() {
        let spec = TensorSpec { name: "x".into(), datatype: Datatype::Int64, shape: vec![-1, 2] };
        let signature = Signature { inputs: vec![spec.clone()], outputs: vec![spec] };
        let tensors = parse(br#"{"instances": [[1,2],[3,4]]}"#, &signature).unwrap();
        assert_eq!(tensors, [Tensor { name: "x".into(), shape: vec![2, 2], data: Data::Int64(vec![1, 2, 3, 4]) }]);
        assert_eq!(String::from_utf8(encode(&tensors).unwrap()).unwrap(), r#"{"predictions":[[1,2],[3,4]]}"#);
        assert!(parse(br#"{"instances": [[1,2],[3]]}"#, &signature).is_err());
    }
}
