//! Making certificates: the development authority of `sigillo init --demo`, and the tests'.
//!
//! Not for production, where keys are made where they are used and an organisation's authority signs them.

use std::{net::IpAddr, path::Path, time::Duration};

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SanType, SerialNumber,
};
use zeroize::Zeroizing;

use crate::files::{FileError, write_new};

/// Why a certificate cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name or key is refused by the library.
    #[error("certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A date is outside what certificates can say.
    #[error("date out of range")]
    Time,
}

/// certificatePolicies.
const POLICIES: [u64; 4] = [2, 5, 29, 32];
/// Its value with the policy of CNS cards alone, 1.3.76.16.2.1 (DER).
const CNS: [u8; 11] = [0x30, 0x09, 0x30, 0x07, 0x06, 0x05, 0x2b, 0x4c, 0x10, 0x02, 0x01];

/// Milliseconds since 1970 UTC as the date type of `rcgen`, whose crate this one need not name.
macro_rules! date {
    ($ms:expr) => {
        rcgen::date_time_ymd(1970, 1, 1)
            .checked_add(Duration::from_millis($ms).try_into().map_err(|_| PkiError::Time)?)
            .ok_or(PkiError::Time)?
    };
}

/// From when to when, milliseconds since 1970 UTC. Certificates count seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub from_ms: u64,
    /// Last moment.
    pub to_ms: u64,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// TLS client authentication.
    Client,
    /// TLS server authentication.
    Server,
    /// No extended key usage at all: this product refuses it from clients.
    Unstated,
}

/// What to put into a certificate.
#[derive(Clone, Debug)]
pub struct Profile<'a> {
    /// Common name of the subject.
    pub common_name: &'a str,
    /// DNS names.
    pub names: &'a [&'a str],
    /// Addresses.
    pub ips: &'a [IpAddr],
    /// Extended key usage.
    pub purpose: Purpose,
    /// Dates.
    pub validity: Validity,
}

/// A certification authority whose key lives in this value only (ECDSA P-256).
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ca")
    }
}

/// A certificate and its private key (ECDSA P-256).
pub struct Issued {
    certificate: rcgen::Certificate,
    key_pem: Zeroizing<String>,
    serial: SerialNumber,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Ca {
    /// A new authority with a new key. It may sign end certificates and revocation lists only.
    ///
    /// # Errors
    /// [`PkiError`] for a date or name out of range, or no random numbers.
    pub fn new(common_name: &str, validity: Validity) -> Result<Self, PkiError> {
        let mut params = parameters(common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate with these DNS names and addresses; the first name is the common name.
    ///
    /// # Errors
    /// As for [`Ca::new`].
    pub fn server(&self, names: &[&str], ips: &[IpAddr], validity: Validity) -> Result<Issued, PkiError> {
        let common_name = names.first().copied().unwrap_or("server");
        self.issue(&Profile { common_name, names, ips, purpose: Purpose::Server, validity })
    }

    /// A client's certificate.
    ///
    /// # Errors
    /// As for [`Ca::new`].
    pub fn client(&self, common_name: &str, validity: Validity) -> Result<Issued, PkiError> {
        self.issue(&Profile { common_name, names: &[], ips: &[], purpose: Purpose::Client, validity })
    }

    /// The certificate of a fictional operator's card, in the profile of CNS cards. `common_name` is
    /// `C.F./ID_Carta.hash`.
    ///
    /// # Errors
    /// As for [`Ca::new`].
    pub fn card(&self, common_name: &str, validity: Validity) -> Result<Issued, PkiError> {
        let profile = Profile { common_name, names: &[], ips: &[], purpose: Purpose::Client, validity };
        self.issue_with(&profile, vec![CustomExtension::from_oid_content(&POLICIES, CNS.to_vec())])
    }

    /// Any certificate, with a new key.
    ///
    /// # Errors
    /// As for [`Ca::new`].
    pub fn issue(&self, profile: &Profile<'_>) -> Result<Issued, PkiError> {
        self.issue_with(profile, Vec::new())
    }

    fn issue_with(
        &self,
        profile: &Profile<'_>,
        extensions: Vec<CustomExtension>,
    ) -> Result<Issued, PkiError> {
        let mut params = parameters(profile.common_name, profile.validity)?;
        for name in profile.names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        params.subject_alt_names.extend(profile.ips.iter().copied().map(SanType::IpAddress));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match profile.purpose {
            Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Purpose::Unstated => Vec::new(),
        };
        params.custom_extensions = extensions;
        let serial = serial()?;
        params.serial_number = Some(serial.clone());
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate, key_pem: Zeroizing::new(key.serialize_pem()), serial })
    }

    /// A revocation list in PEM form, good for `validity`; `number` must grow from one list to the next.
    ///
    /// # Errors
    /// As for [`Ca::new`].
    pub fn crl(&self, number: u64, revoked: &[&Issued], validity: Validity) -> Result<String, PkiError> {
        let this_update = date!(validity.from_ms);
        let list = CertificateRevocationListParams {
            this_update,
            next_update: date!(validity.to_ms),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|issued| RevokedCertParams {
                    serial_number: issued.serial.clone(),
                    revocation_time: this_update,
                    reason_code: Some(RevocationReason::CessationOfOperation),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

impl Issued {
    /// The certificate in PEM form.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The certificate in DER form.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The private key in PEM form (PKCS#8).
    pub fn key_pem(&self) -> &Zeroizing<String> {
        &self.key_pem
    }

    /// Writes `NAME.pem` (mode 0644) and `NAME.key` (mode 0600), neither of which may exist.
    ///
    /// # Errors
    /// [`PkiError::File`].
    pub fn write(&self, directory: &Path, name: &str) -> Result<(), PkiError> {
        write_new(&directory.join(format!("{name}.key")), self.key_pem.as_bytes(), 0o600)?;
        write_new(&directory.join(format!("{name}.pem")), self.certificate_pem().as_bytes(), 0o644)?;
        Ok(())
    }
}

fn parameters(common_name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date!(validity.from_ms);
    params.not_after = date!(validity.to_ms);
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// 16 random bytes, positive and without a leading zero.
fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| PkiError::Random)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}
