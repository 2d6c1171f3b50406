//! Texts to token tensors, by a Hugging Face tokenizer.json.

pub mod input;
mod pack;
mod signature;

pub use pack::Packed;

use super::{Batch, Note, Raw, Row, Runs, Target};
use crate::error::{Error, Kind};
use millrace_crds::{Overflow, Tokenize};
use signature::Inputs;
use std::time::Instant;
use tokenizers::{
    PaddingDirection, PostProcessor as _, Tokenizer,
    utils::truncation::{TruncationDirection, TruncationParams, TruncationStrategy},
};

/// Texts of a request to runs of the model.
pub struct TextInput {
    /// The tokenizer with its limits.
    pub step: TokenizeStep,
    rows: usize,
}

/// One text, as it is or cut into tokens by the caller.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// As it is.
    Text(&'a str),
    /// Ids of tokens.
    Tokens(&'a [u32]),
}

impl TextInput {
    /// Checks the step against the model.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &Tokenize, target: &Target<'_>) -> Result<Self, String> {
        Ok(Self { step: TokenizeStep::compile(spec, target)?, rows: target.max_rows })
    }

    /// A body to runs.
    ///
    /// # Errors
    /// A body without texts, or texts beyond a limit.
    pub fn prepare(&self, raw: &Raw) -> Result<Runs, Error> {
        let texts = input::read(&raw.body, raw.json)?;
        let given: Vec<Given<'_>> = texts.texts.iter().map(|text| Given::Text(text)).collect();
        let (mut runs, _) = self.runs(&given, raw.deadline)?;
        runs.single = texts.single;
        Ok(runs)
    }

    /// Texts to runs, and the number of their tokens.
    ///
    /// # Errors
    /// Texts beyond a limit; the deadline passed.
    pub fn runs(&self, given: &[Given<'_>], deadline: Option<Instant>) -> Result<(Runs, usize), Error> {
        self.step.check_count(given.len())?;
        let mut tokens = Vec::with_capacity(given.len());
        for (at, given) in given.iter().enumerate() {
            if deadline.is_some_and(|deadline| deadline < Instant::now()) {
                return Err(Error::new(Kind::Deadline, "the deadline passed"));
            }
            tokens.push(match given {
                Given::Text(text) => self.step.encode(text, at)?,
                Given::Tokens(ids) => self.step.adopt(ids, at)?,
            });
        }
        let count = tokens.iter().map(|tokens| tokens.ids.len()).sum();
        let batches = self.step.pack(&tokens, self.rows).into_iter().map(|packed| Batch {
            inputs: packed.inputs,
            rows: packed
                .texts
                .into_iter()
                .zip(packed.spans)
                .map(|(at, span)| Row { at, note: Note::Tokens(span) })
                .collect(),
        });
        Ok((Runs { batches: batches.collect(), single: false }, count))
    }
}

/// The shortest bucket where each one costs, if the manifest names none.
const LEAST_BUCKET: usize = 32;
/// Steps between buckets where they cost nothing: so many tokens, and beyond a length this part of it.
const STEP: usize = 8;
const PART: usize = 8;

/// A tokenize step that fits its model.
pub struct TokenizeStep {
    tokenizer: Tokenizer,
    inputs: Inputs,
    buckets: Vec<usize>,
    padding: Padding,
    /// What the tokenizer puts around a lone text.
    around: (Vec<u32>, Vec<u32>),
    vocabulary: u32,
    limits: Limits,
}

/// How a row is filled up to its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Padding {
    token: u32,
    token_type: u32,
    left: bool,
}

struct Limits {
    tokens: usize,
    bytes: usize,
    texts: usize,
    cut: bool,
}

/// Tokens of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Ids, special tokens included.
    pub ids: Vec<u32>,
    /// Type of each.
    pub types: Vec<u32>,
}

impl TokenizeStep {
    /// Checks the step against the model and reads its tokenizer.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &Tokenize, target: &Target<'_>) -> Result<Self, String> {
        let (files, few) = (target.files, target.few_lengths);
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let inputs = Inputs::of(target.signature, spec.token_types)?;
        let tokens = size(spec.max_length);
        let named: Vec<usize> = spec.buckets.iter().map(|&bucket| size(bucket)).collect();
        let buckets = buckets(&named, tokens, few, &inputs)?;
        let file = spec.file.as_str();
        let bytes = files.read(file).map_err(|error| format!("preprocess: tokenize.file: {error}"))?;
        let mut tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|error| format!("preprocess: tokenize.file: {file} is no tokenizer: {error}"))?;
        let padding = padding(&tokenizer);
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| format!("preprocess: tokenize.file: {file}: {error}"))?;
        let around = around(&tokenizer).map_err(|error| format!("preprocess: tokenize.file: {file}: {error}"))?;
        let added = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let special = added.max(around.0.len() + around.1.len());
        if tokens <= special {
            return Err(format!(
                "preprocess: tokenize.maxLength is {tokens}; the tokenizer puts {special} special tokens around each text"
            ));
        }
        let cut = spec.overflow == Overflow::Cut;
        if cut {
            let params = TruncationParams {
                max_length: tokens,
                strategy: TruncationStrategy::LongestFirst,
                stride: 0,
                direction: TruncationDirection::Right,
            };
            tokenizer
                .with_truncation(Some(params))
                .map_err(|error| format!("preprocess: tokenize.maxLength doesn't fit {file}: {error}"))?;
        }
        let vocabulary = u32::try_from(tokenizer.get_vocab_size(true)).unwrap_or(u32::MAX);
        let limits = Limits { tokens, bytes: size(spec.max_bytes), texts: size(spec.max_texts), cut };
        Ok(Self { tokenizer, inputs, buckets, padding, around, vocabulary, limits })
    }

    /// Lengths that rows are padded to.
    #[must_use]
    pub fn buckets(&self) -> &[usize] {
        &self.buckets
    }

    /// Checks the number of texts in a request.
    ///
    /// # Errors
    /// 422: none, or more than the limit.
    pub fn check_count(&self, count: usize) -> Result<(), Error> {
        let most = self.limits.texts;
        match count {
            0 => Err(unprocessable("the request holds no text".to_owned())),
            count if count > most => {
                Err(unprocessable(format!("the request holds {count} texts; tokenize.maxTexts takes {most}")))
            }
            _ => Ok(()),
        }
    }

    /// Cuts one text into tokens; `at` is its place in the request, for errors.
    ///
    /// # Errors
    /// 422: the text is too long.
    pub fn encode(&self, text: &str, at: usize) -> Result<Tokens, Error> {
        let most = self.limits.bytes;
        if text.len() > most {
            return Err(unprocessable(format!("text {at} has {} bytes; tokenize.maxBytes takes {most}", text.len())));
        }
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| {
            tracing::debug!(%error, "tokenizer");
            unprocessable(format!("the tokenizer can't take text {at}"))
        })?;
        let tokens = Tokens { ids: encoding.get_ids().to_vec(), types: encoding.get_type_ids().to_vec() };
        self.check_length(tokens.ids.len(), at)?;
        Ok(tokens)
    }

    /// Takes tokens that the caller cut itself. Special tokens are put around them unless they are there already.
    ///
    /// # Errors
    /// 400: an id that the tokenizer doesn't have. 422: too many.
    pub fn adopt(&self, ids: &[u32], at: usize) -> Result<Tokens, Error> {
        if let Some(&id) = ids.iter().find(|&&id| id >= self.vocabulary) {
            return Err(Error::invalid(format!(
                "text {at} has the token {id}; the model's tokens are 0 to {}",
                self.vocabulary - 1
            )));
        }
        let (before, after) = (&self.around.0[..], &self.around.1[..]);
        let inner = ids.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap_or(ids);
        let room = self.limits.tokens - before.len() - after.len();
        let kept = if self.limits.cut { &inner[..inner.len().min(room)] } else { inner };
        let ids = [before, kept, after].concat();
        self.check_length(ids.len(), at)?;
        let types = vec![0; ids.len()];
        Ok(Tokens { ids, types })
    }

    fn check_length(&self, count: usize, at: usize) -> Result<(), Error> {
        let most = self.limits.tokens;
        if count > most {
            return Err(unprocessable(format!("text {at} has {count} tokens; tokenize.maxLength takes {most}")));
        }
        Ok(())
    }

    /// Puts texts of one bucket together, at most `rows` in a batch.
    #[must_use]
    pub fn pack(&self, texts: &[Tokens], rows: usize) -> Vec<Packed> {
        pack::pack(texts, rows, &self.buckets, self.padding, &self.inputs)
    }
}

fn unprocessable(message: String) -> Error {
    Error::new(Kind::Unprocessable, message)
}

/// The lengths of the manifest; else up to the longest text powers of two where each costs, or such that few tokens in a
/// hundred are padding. One length alone where the model has just one.
fn buckets(named: &[usize], tokens: usize, few: bool, inputs: &Inputs) -> Result<Vec<usize>, String> {
    if let Some(fixed) = inputs.length {
        if tokens > fixed || named.iter().any(|&bucket| bucket != fixed) {
            return Err(format!(
                "preprocess: tokenize.maxLength is {tokens}, buckets are {named:?}; the model takes just {fixed} tokens: {}",
                inputs.takes
            ));
        }
        return Ok(vec![fixed]);
    }
    if named.is_empty() {
        let (first, next): (usize, fn(&usize) -> Option<usize>) = if few {
            (LEAST_BUCKET, |bucket| bucket.checked_mul(2))
        } else {
            (STEP, |bucket| bucket.checked_add((bucket / PART).next_multiple_of(STEP)))
        };
        let rising = std::iter::successors(Some(first), next);
        return Ok(rising.take_while(|&bucket| bucket < tokens).chain([tokens]).collect());
    }
    if !named.is_sorted_by(|a, b| a < b) || named.last().is_some_and(|&last| last < tokens) {
        return Err(format!("preprocess: tokenize.buckets {named:?} must rise, to maxLength ({tokens}) or more"));
    }
    Ok(named.to_vec())
}

/// As tokenizer.json says; else by the usual names of the padding token.
fn padding(tokenizer: &Tokenizer) -> Padding {
    match tokenizer.get_padding() {
        Some(params) => Padding {
            token: params.pad_id,
            token_type: params.pad_type_id,
            left: matches!(params.direction, PaddingDirection::Left),
        },
        None => {
            let named = ["[PAD]", "<pad>", "<|endoftext|>"].iter().find_map(|name| tokenizer.token_to_id(name));
            Padding { token: named.unwrap_or(0), token_type: 0, left: false }
        }
    }
}

/// The special tokens before and after a text, found by encoding one with and without them.
fn around(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), String> {
    let ids = |special: bool| {
        let encoding = tokenizer.encode_fast("a", special).map_err(|error| error.to_string())?;
        Ok::<_, String>(encoding.get_ids().to_vec())
    };
    let (whole, inner) = (ids(true)?, ids(false)?);
    let at = whole.windows(inner.len().max(1)).position(|part| part == inner).unwrap_or(whole.len());
    let end = (at + inner.len()).min(whole.len());
    Ok((whole[..at].to_vec(), whole[end..].to_vec()))
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
