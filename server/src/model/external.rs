//! What a model keeps in other files. ONNX Runtime would read them unverified, so each must be a file of the manifest.
//!
//! The model is walked as protobuf, without a schema beyond the fields that lead to tensors; large fields are skipped in
//! the file and never held.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Deeper graphs (loops within branches within loops) are no real model.
const MAX_DEPTH: u32 = 64;
/// Longer names of files are none.
const MAX_TEXT: u64 = 4096;

/// A tensor, or a built engine, that lies in another file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// The file, as the model writes it.
    pub location: String,
    /// First byte.
    pub offset: u64,
    /// Bytes; `None`: to the end.
    pub length: Option<u64>,
}

/// The attribute of a node that stands for a built engine: the engine, or the name of its file.
const ENGINE: &[u8] = b"ep_cache_context";

/// Messages of ONNX on the way to tensors.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
}

impl Message {
    /// The message in a field, if it can lead to a tensor. Numbers are those of onnx.proto.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            _ => return None,
        })
    }
}

/// All tensors and built engines that a model keeps elsewhere.
///
/// # Errors
/// The file can't be read, or is no protobuf.
pub fn tensors(path: &Path) -> io::Result<Vec<External>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    tensors_in(file, end)
}

/// The same of a model of `end` bytes, wherever it lies.
///
/// # Errors
/// It can't be read, or is no protobuf.
pub fn tensors_in(model: impl Read + Seek, end: u64) -> io::Result<Vec<External>> {
    let mut walk = Walk { reader: BufReader::with_capacity(64 << 10, model), at: 0, found: Vec::new() };
    walk.message(Message::Model, end, 0)?;
    Ok(walk.found)
}

struct Walk<R> {
    reader: BufReader<R>,
    at: u64,
    found: Vec<External>,
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no protobuf of ONNX")
}

impl<R: Read + Seek> Walk<R> {
    fn message(&mut self, kind: Message, end: u64, depth: u32) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(malformed());
        }
        let mut external: Option<External> = None;
        let (mut attribute, mut text) = (Vec::new(), Vec::new());
        while self.at < end {
            let key = self.varint()?;
            let Some(inner) = self.payload(key, end)? else { continue };
            match (kind, key >> 3) {
                (Message::Tensor, 13) => self.entry(inner, external.get_or_insert_default())?,
                (Message::Attribute, 1) => attribute = self.bytes(inner)?,
                // A built engine that is written out here is longer than any name of a file.
                (Message::Attribute, 4) if inner - self.at <= MAX_TEXT => text = self.bytes(inner)?,
                (kind, number) => match kind.field(number) {
                    Some(child) => self.message(child, inner, depth + 1)?,
                    None => self.skip_to(inner)?,
                },
            }
        }
        if attribute == ENGINE && !text.is_empty() {
            let location = String::from_utf8(text).map_err(|_| malformed())?;
            external = Some(External { location, ..External::default() });
        }
        self.found.extend(external);
        if self.at == end { Ok(()) } else { Err(malformed()) }
    }

    /// The end of a field's bytes; `None`: the field was a number and is passed.
    fn payload(&mut self, key: u64, end: u64) -> io::Result<Option<u64>> {
        match key & 7 {
            0 => self.varint().map(|_| None),
            1 => self.skip_to(self.at + 8).map(|()| None),
            5 => self.skip_to(self.at + 4).map(|()| None),
            2 => {
                let length = self.varint()?;
                let inner = self.at.checked_add(length).filter(|&inner| inner <= end).ok_or_else(malformed)?;
                Ok(Some(inner))
            }
            _ => Err(malformed()),
        }
    }

    /// One entry of a tensor's external data: key and value.
    fn entry(&mut self, end: u64, external: &mut External) -> io::Result<()> {
        let (mut name, mut value) = (String::new(), String::new());
        while self.at < end {
            let key = self.varint()?;
            let Some(inner) = self.payload(key, end)? else { continue };
            match key >> 3 {
                1 => name = self.text(inner)?,
                2 => value = self.text(inner)?,
                _ => self.skip_to(inner)?,
            }
        }
        let number = || value.parse::<u64>().map_err(|_| malformed());
        match name.as_str() {
            "location" => external.location = value,
            "offset" => external.offset = number()?,
            "length" => external.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, end: u64) -> io::Result<String> {
        String::from_utf8(self.bytes(end)?).map_err(|_| malformed())
    }

    fn bytes(&mut self, end: u64) -> io::Result<Vec<u8>> {
        let length = end - self.at;
        if length > MAX_TEXT {
            return Err(malformed());
        }
        let mut bytes = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        self.at += length;
        Ok(bytes)
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let distance = i64::try_from(to - self.at).map_err(|_| malformed())?;
        // Within the buffer this moves a cursor; beyond it, it seeks. Bytes that aren't there are found missing by the next read.
        self.reader.seek_relative(distance)?;
        self.at = to;
        Ok(())
    }
}

/// Whether an external tensor lies within a file of this size.
#[must_use]
pub fn within(external: &External, size: u64) -> bool {
    match external.length {
        Some(length) => external.offset.checked_add(length).is_some_and(|end| end <= size),
        None => external.offset <= size,
    }
}

/// Where the file ends, whatever was read so far.
///
/// # Errors
/// It can't be asked.
pub fn size(path: &Path) -> io::Result<u64> {
    File::open(path)?.seek(SeekFrom::End(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(bytes);
        out
    }

    fn entry(key: &str, value: &str) -> Vec<u8> {
        field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
    }

    fn found(model: &[u8]) -> io::Result<Vec<External>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        std::fs::write(&path, model).unwrap();
        tensors(&path)
    }

    #[test]
    fn tensors_are_found_wherever_they_hide() {
        let tensor = [vec![0x10, 1], entry("location", "w.bin"), entry("offset", "64"), entry("length", "8")].concat();
        let expected = External { location: "w.bin".into(), offset: 64, length: Some(8) };
        let in_graph = field(5, &tensor);
        let in_node = field(1, &field(5, &field(5, &tensor)));
        let in_branch = field(1, &field(5, &field(6, &in_graph)));
        let sparse = field(15, &field(1, &tensor));
        for graph in [&in_graph, &in_node, &in_branch, &sparse] {
            assert_eq!(found(&[vec![8, 9], field(7, graph)].concat()).unwrap(), std::slice::from_ref(&expected));
        }
        let big = field(5, &field(9, &vec![7; 300_000]));
        assert_eq!(found(&field(7, &[big.clone(), in_graph.clone(), big].concat())).unwrap(), [expected]);
        assert_eq!(found(&field(7, &field(5, &field(9, b"0123")))).unwrap(), []);
    }

    #[test]
    fn a_built_engine_is_a_file_unless_it_is_written_out() {
        let node = |context: &[u8]| {
            let attribute = [field(1, ENGINE), field(4, context)].concat();
            field(7, &field(1, &[field(4, b"EPContext"), field(5, &attribute)].concat()))
        };
        let elsewhere = External { location: "m.engine".into(), ..External::default() };
        assert_eq!(found(&node(b"m.engine")).unwrap(), [elsewhere]);
        assert_eq!(found(&node(&[7; 10_000])).unwrap(), []);
        let other = [field(1, b"mode"), field(4, b"linear")].concat();
        assert_eq!(found(&field(7, &field(1, &field(5, &other)))).unwrap(), []);
    }

    #[test]
    fn what_is_no_protobuf_is_an_error() {
        let mut deep = Vec::new();
        for _ in 0..100 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        for bytes in [&b"this is no model"[..], &[0x3a, 0xff, 1], &[0xff; 12], &field(7, &deep)] {
            assert!(found(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn offsets_are_checked() {
        let external = |offset, length| External { location: "w".into(), offset, length };
        for (external, expected) in [
            (external(0, Some(10)), true),
            (external(1, Some(10)), false),
            (external(u64::MAX, Some(2)), false),
            (external(10, None), true),
            (external(11, None), false),
        ] {
            assert_eq!(within(&external, 10), expected, "{external:?}");
        }
    }
}
