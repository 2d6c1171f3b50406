//! Strings with a shape: each is bounded and has a pattern in the schema, and parses into a number here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares a string newtype with a bound and a pattern, which the API server checks.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        #[cfg(feature = "resource")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "maxLength": $max, "minLength": 1, "pattern": $pattern})
            }
        }
    };
}

text!(
    /// The name of an object or of an entry in a keyed list: a DNS label.
    Name, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
);
text!(
    /// The name of a tensor, a key in a ConfigMap, a label's value: printable, without spaces.
    Token, 253, "^[!-~]+$"
);
text!(
    /// One line of text, such as a label of a class.
    Line, 253, "^[^\\x00-\\x1f]*$"
);
text!(
    /// Where a file is: `SCHEME://AUTHORITY/PATH` with one of s3, gs, az, https, oci, pvc.
    Uri, 2048, "^(s3|gs|az|https|oci|pvc)://[^\\s]+$"
);
text!(
    /// A SHA-256 digest: 64 hexadecimal digits, lower case.
    Sha256, 64, "^[a-f0-9]{64}$"
);
text!(
    /// A span of time: `300ms`, `2s`, `1m30s`, `6h`.
    Duration, 32, "^([0-9]+(ms|s|m|h))+$"
);
text!(
    /// An amount of memory as Kubernetes writes it: `512Mi`, `80Gi`, `1G`.
    Quantity, 32, "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
);
text!(
    /// A keyed hash of an API key: `hmac-sha256:` and 64 hexadecimal digits.
    KeyHash, 76, "^hmac-sha256:[a-f0-9]{64}$"
);
text!(
    /// An amount of money, a decimal with at most four places: `12.00`.
    Money, 20, "^[0-9]{1,9}(\\.[0-9]{1,4})?$"
);

impl Duration {
    /// The span; `None` if the text isn't a duration.
    #[must_use]
    pub fn to_std(&self) -> Option<std::time::Duration> {
        let mut rest = self.0.as_str();
        let mut total = std::time::Duration::ZERO;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let millis: u64 = match &rest[..unit] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return None,
            };
            rest = &rest[unit..];
            total = total.checked_add(std::time::Duration::from_millis(number.checked_mul(millis)?))?;
        }
        Some(total)
    }
}

impl Quantity {
    /// The amount in base units (bytes, cores); `None` if the text isn't a quantity.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        let split = self.0.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let number: f64 = self.0[..split].parse().ok()?;
        let factor = match &self.0[split..] {
            "" => 1.0,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "Ki" => 1024.0,
            "Mi" => 1024f64.powi(2),
            "Gi" => 1024f64.powi(3),
            "Ti" => 1024f64.powi(4),
            _ => return None,
        };
        Some(number * factor)
    }
}

impl Money {
    /// The amount in its currency; `None` if the text isn't a decimal.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|amount: &f64| amount.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration as Std;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0s", Some(Std::ZERO)),
            ("300ms", Some(Std::from_millis(300))),
            ("1m30s", Some(Std::from_secs(90))),
            ("6h", Some(Std::from_secs(21_600))),
            ("", None),
            ("5", None),
            ("5d", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(Duration::from(text).to_std(), expected, "{text:?}");
        }
    }

    #[test]
    fn quantities_and_money() {
        assert_eq!(Quantity::from("80Gi").to_f64(), Some(85_899_345_920.0));
        assert_eq!(Quantity::from("250m").to_f64(), Some(0.25));
        assert_eq!(Quantity::from("x").to_f64(), None);
        assert_eq!(Money::from("12.50").to_f64(), Some(12.5));
        assert_eq!(Money::from("inf").to_f64(), None);
    }
}
