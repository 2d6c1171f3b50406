//! Tensors to measure the ranges of activations on: those that the service's own pipeline makes of data.

use crate::{
    engine::{Engine, EngineError},
    error::StartError,
    evaluate::{data::Item, measure},
    load,
    model::Fetched,
    protocol::{
        data::Datatype,
        tensor::{Signature, Tensor},
    },
};
use millrace_crds::{conditions::reason, manifest::Manifest};
use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// An engine that writes down what it is run on.
struct Recorder {
    engine: Box<dyn Engine>,
    folder: PathBuf,
    /// Warm-up runs on zeros, which tell nothing.
    recording: Arc<AtomicBool>,
    runs: usize,
}

impl Engine for Recorder {
    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        if self.recording.load(Ordering::SeqCst) {
            let run = self.folder.join(format!("{:06}", self.runs));
            self.runs += 1;
            record(&run, inputs)
                .map_err(|error| EngineError::Failed(format!("{} can't be written: {error}", run.display())))?;
        }
        self.engine.run(inputs, answer)
    }
}

/// Sends each item through the pipeline, and writes what `engine` is run on into `folder`, as quantize.py reads it.
///
/// # Errors
/// The model can't be served, takes tensors that NumPy doesn't have, or an item can't be processed.
pub async fn write(
    manifest: &Manifest,
    fetched: &Fetched,
    engine: Box<dyn Engine>,
    items: &[Item],
    folder: &Path,
) -> Result<(), StartError> {
    let inputs = &engine.signature().inputs;
    if let Some(input) = inputs.iter().find(|input| descr(input.datatype).is_none()) {
        let message = format!(
            "input {:?} is {}: no ranges are measured on it; leave --data out",
            input.name,
            input.datatype.name()
        );
        return Err(StartError::new(reason::INVALID, message));
    }
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let unwritten = |error: io::Error| StartError::new(reason::INVALID, format!("no room for calibration: {error}"));
    std::fs::write(folder.join("inputs.json"), serde_json::json!(names).to_string()).map_err(unwritten)?;
    let recording = Arc::new(AtomicBool::new(false));
    let recorder = Recorder { engine, folder: folder.to_owned(), recording: Arc::clone(&recording), runs: 0 };
    let engines: Vec<Box<dyn Engine>> = vec![Box::new(recorder)];
    let (replica, _threads) = load::build(manifest, engines, fetched, [Duration::ZERO; 2])?;
    recording.store(true, Ordering::SeqCst);
    for item in items {
        measure::ask(&replica, item).await.map_err(|error| measure::refused(item, &error))?;
    }
    replica.stop();
    Ok(())
}

/// Writes the tensors of one run: `N.npy` for the Nth input.
fn record(folder: &Path, inputs: &[Tensor]) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    inputs.iter().enumerate().try_for_each(|(at, tensor)| std::fs::write(folder.join(format!("{at}.npy")), npy(tensor)))
}

/// NumPy's name of an element type; `None`: it has none.
fn descr(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "|b1",
        Datatype::Uint8 => "|u1",
        Datatype::Uint16 => "<u2",
        Datatype::Uint32 => "<u4",
        Datatype::Uint64 => "<u8",
        Datatype::Int8 => "|i1",
        Datatype::Int16 => "<i2",
        Datatype::Int32 => "<i4",
        Datatype::Int64 => "<i8",
        Datatype::Fp16 => "<f2",
        Datatype::Fp32 => "<f4",
        Datatype::Fp64 => "<f8",
        Datatype::Bf16 | Datatype::Bytes => return None,
    })
}

/// A tensor as NumPy's format, version 1.0: magic, length of the header, header up to a multiple of 64 bytes, elements.
fn npy(tensor: &Tensor) -> Vec<u8> {
    const FIXED: usize = 10;
    let dims = tensor.shape.iter().fold(String::new(), |mut dims, dim| {
        let _ = write!(dims, "{dim}, ");
        dims
    });
    let descr = descr(tensor.data.datatype()).unwrap_or("|u1");
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let padding = 63 - (FIXED + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length[..], header.as_bytes(), &tensor.data.to_le()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::data::Data;

    #[test]
    fn arrays_are_numpys() {
        for (shape, text) in [(vec![2, 3], "(2, 3, )"), (vec![6], "(6, )"), (vec![], "()")] {
            let count = shape.iter().product::<usize>();
            let tensor = Tensor { name: "x".to_owned(), shape, data: Data::Fp32(vec![0.5; count]) };
            let bytes = npy(&tensor);
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
            assert!((10 + length).is_multiple_of(64) && header.ends_with('\n'), "{header:?}");
            assert!(header.starts_with(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}, }}")));
            assert_eq!(bytes.len(), 10 + length + 4 * count);
        }
    }
}
