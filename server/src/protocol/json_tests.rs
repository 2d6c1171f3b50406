//! The reader beside serde_json: what one takes the other takes, and reads the same.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// The whole text as a tree, by the reader.
fn read(reader: &mut Reader<'_>) -> Result<Value, Fault> {
    Ok(match reader.peek() {
        b'"' => Value::from(&*reader.string()?),
        b'{' => {
            let mut members = serde_json::Map::new();
            reader.object(|reader, key| {
                members.insert(key.to_owned(), read(reader)?);
                Ok::<_, Fault>(())
            })?;
            Value::Object(members)
        }
        b'[' => {
            let mut elements = Vec::new();
            reader.array(|reader| {
                elements.push(read(reader)?);
                Ok::<_, Fault>(())
            })?;
            Value::Array(elements)
        }
        _ if reader.null() => Value::Null,
        b't' | b'f' => Value::from(reader.boolean().ok_or_else(|| reader.fault("a word"))?),
        _ => match reader.number()? {
            Number::Unsigned(value) => Value::from(value),
            Number::Negative(value) => Value::from(value),
            Number::Float(value) => Value::from(value),
        },
    })
}

fn whole(text: &[u8]) -> Result<Value, Fault> {
    let mut reader = Reader::new(text);
    let value = read(&mut reader)?;
    reader.end()?;
    let mut again = Reader::new(text);
    assert_eq!(again.skip().map(<[u8]>::trim_ascii), Ok(text.trim_ascii()), "what is skipped is what is read");
    Ok(value)
}

#[test]
fn what_is_json_is_read_and_nothing_else() {
    for text in [
        "0",
        "-0",
        "-0.0",
        "7",
        "-7",
        "0.5",
        "1e3",
        "1E+3",
        "1e-3",
        "123456789.125",
        "0.1",
        "5e-324",
        "1e22",
        "1e23",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "0.30000000000000004",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "9007199254740993.0",
        " [ 1 , 2 ] ",
        "[]",
        "{}",
        "{\"a\":{\"b\":[true,false,null]}}",
        "\"\"",
        "\"a\\u00fc\\n\\\"\"",
        "\"ü\"",
        "\"\\\\\"",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        let read = whole(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        // Numbers are held against the standard library: serde_json's own may be one unit off in the last place.
        match (read.as_f64(), text.trim().parse::<f64>()) {
            (Some(read), Ok(exact)) => assert_eq!(read.to_bits(), exact.to_bits(), "{text}"),
            _ => assert_eq!(read, expected, "{text}"),
        }
    }
    for text in [
        "",
        " ",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "--1",
        "0x1",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "tru",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\n\"",
        "1 2",
        "]",
        "\"\\ud800\"",
        "\u{0}",
    ] {
        assert!(whole(text.as_bytes()).is_err(), "{text:?} was read");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?} is JSON, says serde_json");
    }
    assert!(whole(b"\"\xff\"").is_err());
    let deep = |depth: usize| Reader::new(&b"[".repeat(depth)).skip().unwrap_err().to_string();
    assert!(deep(1_000_000).contains("too deeply") && deep(100).contains("expected a digit"));
}

proptest! {
    #[test]
    fn floats_are_exact(bits: u64, digits in 0usize..18) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        for text in [format!("{value:?}"), format!("{value:e}"), format!("{:.digits$}", value % 1e6), format!("{:?}", value as f32)] {
            let exact: f64 = text.parse().unwrap();
            prop_assume!(exact.is_finite());
            let read = Reader::new(text.as_bytes()).number();
            let read = match read { Ok(Number::Float(x)) => x, Ok(Number::Unsigned(x)) => x as f64, Ok(Number::Negative(x)) => x as f64, Err(fault) => panic!("{text}: {fault}") };
            prop_assert_eq!(read.to_bits(), exact.to_bits(), "{}", text);
        }
    }

    #[test]
    fn what_is_passed_over_is_what_is_skipped(text in "\\[[\\[\\],\"\\\\0-9 ]{0,24}") {
        let skipped = Reader::new(text.as_bytes()).skip();
        let passed = Reader::new(text.as_bytes()).pass();
        prop_assert!(skipped.is_err() || skipped == passed, "{}", text);
    }

    #[test]
    fn no_bytes_panic_and_both_readers_agree(text in "[\\[\\]{},:\"\\\\0-9eE.+\\-truefalsn \n]{0,24}") {
        prop_assert_eq!(whole(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }
}
