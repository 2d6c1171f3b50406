//! Certificates: pure but for fresh keys. Time is a parameter.

use anyhow::{Context, Result, anyhow};
use k8s_openapi::jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::collections::BTreeMap;

/// Life of an authority, in days.
const AUTHORITY_DAYS: i64 = 365;
/// Its successor is made so many days before the end.
const SUCCESSOR_DAYS: i64 = 60;
/// A successor signs when its validity is so many days old; that begins a day before it is made.
const TRUSTED_DAYS: i64 = 3;
/// Life of a leaf, in days.
const LEAF_DAYS: i64 = 30;
/// A leaf is renewed so many days before its end.
const RENEW_DAYS: i64 = 10;
const SECONDS_OF_DAY: i64 = 86_400;

type Data = BTreeMap<String, String>;

/// A certificate and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    certificate: String,
    key: String,
}

/// The authority: who signs, who will sign, and whom else one trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    signer: Pair,
    next: Option<Pair>,
    former: Option<String>,
}

impl Authority {
    /// From the Secret's data; `None`: it isn't whole, and is made anew.
    #[must_use]
    pub fn from_data(data: &Data) -> Option<Self> {
        let pair = |certificate: &str, key: &str| {
            Some(Pair { certificate: data.get(certificate)?.clone(), key: data.get(key)?.clone() })
        };
        let authority = Self {
            signer: pair("ca.crt", "ca.key")?,
            next: pair("next.crt", "next.key"),
            former: data.get("former.crt").cloned(),
        };
        (ends(&authority.signer.certificate).is_some() && KeyPair::from_pem(&authority.signer.key).is_ok())
            .then_some(authority)
    }

    /// The Secret's data.
    #[must_use]
    pub fn data(&self) -> Data {
        let mut data = Data::from([
            ("ca.crt".to_owned(), self.signer.certificate.clone()),
            ("ca.key".to_owned(), self.signer.key.clone()),
        ]);
        if let Some(next) = &self.next {
            data.insert("next.crt".to_owned(), next.certificate.clone());
            data.insert("next.key".to_owned(), next.key.clone());
        }
        data.extend(self.former.iter().map(|former| ("former.crt".to_owned(), former.clone())));
        data
    }

    /// Whom to trust: signer, successor, predecessor.
    #[must_use]
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        [Some(self.signer.certificate.as_str()), next, self.former.as_deref()].into_iter().flatten().collect()
    }

    /// What is due now: the same, one with a successor, or the successor in office.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn renew(kept: Option<Self>, now: Timestamp) -> Result<Self> {
        let alive = kept.filter(|kept| left(&kept.signer.certificate, now) > 0);
        let Some(mut kept) = alive else {
            return Ok(Self { signer: authority(now)?, next: None, former: None });
        };
        kept.former = kept.former.filter(|former| left(former, now) > 0);
        if let Some(next) = kept.next.take() {
            if age(&next.certificate, now) >= TRUSTED_DAYS {
                return Ok(Self { former: Some(kept.signer.certificate), signer: next, next: None });
            }
            kept.next = Some(next);
        } else if left(&kept.signer.certificate, now) < SUCCESSOR_DAYS {
            kept.next = Some(authority(now)?);
        }
        Ok(kept)
    }
}

/// A program's certificate, and whom it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    /// PEM, several.
    pub bundle: String,
    /// The certificate that signed it.
    issuer: String,
}

impl Leaf {
    /// From the Secret's data.
    #[must_use]
    pub fn from_data(data: &Data) -> Option<Self> {
        let value = |key: &str| data.get(key).cloned();
        Some(Self {
            certificate: value("tls.crt")?,
            key: value("tls.key")?,
            bundle: value("ca.crt")?,
            issuer: value("issuer.crt")?,
        })
    }

    /// The Secret's data.
    #[must_use]
    pub fn data(&self) -> Data {
        let Self { certificate, key, bundle, issuer } = self.clone();
        [("tls.crt", certificate), ("tls.key", key), ("ca.crt", bundle), ("issuer.crt", issuer)]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }

    /// The kept one, with today's bundle, or a new one if its time or its issuer's is over.
    ///
    /// # Errors
    /// No certificate can be made.
    pub fn renew(kept: Option<Self>, authority: &Authority, host: &str, now: Timestamp) -> Result<Self> {
        let bundle = authority.bundle();
        let issuer = authority.signer.certificate.clone();
        let valid = kept.filter(|kept| kept.issuer == issuer && left(&kept.certificate, now) >= RENEW_DAYS);
        if let Some(kept) = valid {
            return Ok(Self { bundle, ..kept });
        }
        let signer = Issuer::from_ca_cert_pem(&issuer, KeyPair::from_pem(&authority.signer.key)?)?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        lasts(&mut params, now, LEAF_DAYS)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &signer)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem(), bundle, issuer })
    }
}

fn authority(now: Timestamp) -> Result<Pair> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Each authority has a name of its own, so that chains are never tried against the wrong one.
    params.distinguished_name.push(DnType::CommonName, format!("millrace {}", now.as_second()));
    lasts(&mut params, now, AUTHORITY_DAYS)?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Valid from yesterday, for a clock that is slow.
fn lasts(params: &mut CertificateParams, now: Timestamp, days: i64) -> Result<()> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let (first, last) = (today.checked_sub(1.day())?, today.checked_add(days.days())?);
    let day = |date: k8s_openapi::jiff::civil::Date| {
        let month = u8::try_from(date.month()).map_err(|_| anyhow!("no month"))?;
        Ok::<_, anyhow::Error>(rcgen::date_time_ymd(i32::from(date.year()), month, u8::try_from(date.day())?))
    };
    params.not_before = day(first)?;
    params.not_after = day(last)?;
    Ok(())
}

fn validity(pem: &str) -> Result<(i64, i64)> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| anyhow!("no PEM: {error}"))?;
    let certificate = block.parse_x509().context("no certificate")?;
    Ok((certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp()))
}

fn ends(pem: &str) -> Option<i64> {
    validity(pem).ok().map(|(_, end)| end)
}

/// Whole days that a certificate is still valid; what can't be read has none.
fn left(pem: &str, now: Timestamp) -> i64 {
    ends(pem).map_or(0, |end| (end - now.as_second()).div_euclid(SECONDS_OF_DAY))
}

/// Whole days since the beginning of a certificate's validity.
fn age(pem: &str, now: Timestamp) -> i64 {
    validity(pem).map_or(0, |(start, _)| (now.as_second() - start).div_euclid(SECONDS_OF_DAY))
}

#[cfg(test)]
mod tests;
