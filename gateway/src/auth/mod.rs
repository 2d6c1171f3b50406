//! Who calls: an API key in `Authorization: Bearer` or `x-api-key`, looked up by its keyed hash.
//!
//! Keys are 256 random bits, so a fast keyed hash is enough; the pepper makes hashes useless to whoever reads a Tenant.

mod key;

pub use key::{HashedKey, Pepper, new_key};

use crate::respond::Refusal;
use crate::routes::Table;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Where a key may stand, besides `Authorization`.
pub const KEY_HEADER: &str = "x-api-key";
/// No key that we made is longer; more isn't hashed.
const LONGEST_KEY: usize = 256;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No credential was given.
    Anonymous,
    /// Somebody with a live key of these tenants (more than one only if tenants share a key).
    Tenants(Vec<String>),
}

impl Caller {
    /// Whether the caller speaks for a tenant.
    #[must_use]
    pub fn is(&self, tenant: Option<&str>) -> bool {
        match (self, tenant) {
            (Self::Tenants(names), Some(tenant)) => names.iter().any(|name| name == tenant),
            _ => false,
        }
    }
}

/// Reads and checks the credential. A bad one is refused even where none is needed. `now` is in seconds since the epoch.
///
/// # Errors
/// [`Refusal::BadKey`] for a credential that is malformed, doubled, unknown or expired.
pub fn authenticate(table: &Table, pepper: &Pepper, headers: &HeaderMap, now: i64) -> Result<Caller, Refusal> {
    let Some(key) = credential(headers)? else { return Ok(Caller::Anonymous) };
    let grants = table.keys.get_key_value(&pepper.hash(key)).map(|(_, grants)| grants.as_slice()).unwrap_or_default();
    let live = |expires: Option<i64>| expires.is_none_or(|end| now < end);
    let tenants: Vec<String> =
        grants.iter().filter(|grant| live(grant.expires)).map(|grant| grant.tenant.clone()).collect();
    if tenants.is_empty() { Err(Refusal::BadKey) } else { Ok(Caller::Tenants(tenants)) }
}

/// The one credential of a request. Two are refused: which of them counts must not depend on who reads the headers.
fn credential(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let bearer = headers.get_all(AUTHORIZATION).iter().map(|value| bearer(value.as_bytes()));
    let plain = headers.get_all(KEY_HEADER).iter().map(|value| Some(value.as_bytes()));
    let mut found = bearer.chain(plain);
    let first = found.next();
    if found.next().is_some() {
        return Err(Refusal::BadKey);
    }
    match first {
        None => Ok(None),
        Some(Some(key)) if !key.is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key)),
        Some(_) => Err(Refusal::BadKey),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Grant;
    use http::HeaderValue;

    fn table(pepper: &Pepper) -> Table {
        let mut table = Table::default();
        let mut add = |key: &str, tenant: &str, expires| {
            let grant = Grant { tenant: tenant.into(), expires };
            table.keys.entry(pepper.hash(key.as_bytes())).or_default().push(grant);
        };
        add("mr_a", "a", None);
        add("mr_old", "a", Some(100));
        add("mr_unreadable", "a", Some(i64::MIN));
        add("mr_both", "a", None);
        add("mr_both", "b", None);
        table
    }

    fn check(headers: &[(&'static str, &str)], expect: Option<&[&str]>) {
        let pepper = Pepper::new(b"pepper of the test, long enough".to_vec()).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let seen = authenticate(&table(&pepper), &pepper, &map, 100);
        match expect {
            Some([]) => assert_eq!(seen.unwrap(), Caller::Anonymous, "{headers:?}"),
            Some(names) => {
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                assert_eq!(seen.unwrap(), Caller::Tenants(names), "{headers:?}");
            }
            None => assert!(matches!(seen, Err(Refusal::BadKey)), "{headers:?}: {seen:?}"),
        }
    }

    #[test]
    fn credentials() {
        check(&[], Some(&[]));
        check(&[("authorization", "Bearer mr_a")], Some(&["a"]));
        check(&[("authorization", "bearer  mr_a ")], Some(&["a"]));
        check(&[("x-api-key", "mr_a")], Some(&["a"]));
        check(&[("x-api-key", "mr_both")], Some(&["a", "b"]));
        check(&[("x-api-key", "mr_wrong")], None);
        check(&[("x-api-key", "")], None);
        check(&[("x-api-key", "mr_old")], None);
        check(&[("x-api-key", "mr_unreadable")], None);
        check(&[("authorization", "Basic mr_a")], None);
        check(&[("authorization", "Bearer")], None);
        check(&[("authorization", "Bearer mr_a"), ("x-api-key", "mr_a")], None);
        check(&[("x-api-key", "mr_a"), ("x-api-key", "mr_wrong")], None);
        check(&[("x-api-key", &"x".repeat(LONGEST_KEY + 1))], None);
    }
}
