//! How deep a JSON text nests, found before it is parsed: parsers follow nesting on their stack.

use crate::error::Error;

/// Checks the nesting of arrays and objects. What is no JSON is the parser's business.
///
/// # Errors
/// 400: it nests deeper than `max`.
pub fn check(json: &[u8], max: u32) -> Result<(), Error> {
    let (mut depth, mut text, mut escaped) = (0u32, false, false);
    for &byte in json {
        if text {
            text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return Err(Error::invalid(format!(
                        "the JSON of the body nests deeper than the {max} levels of access.maxJsonDepth"
                    )));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (json, fits) in [
            (r#"{"a": [1, [2]]}"#, true),
            (r#"{"a": [1, [[2]]]}"#, false),
            (r#"["[[[[", "\"[[[[", "\\"]"#, true),
            (r#"["\\", [[[1]]]]"#, false),
            ("[[1]],[[[1]]],[[1]]", true),
            ("]]]][[[", true),
            ("", true),
        ] {
            assert_eq!(check(json.as_bytes(), 3).is_ok(), fits, "{json}");
        }
        let error = check(&[b'['; 1000], 32).unwrap_err();
        assert!(error.message.contains("access.maxJsonDepth"), "{error}");
    }
}
