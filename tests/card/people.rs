//! Cards of nobody: certificates, files, and an authority of the tests' own.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use sigillo::{
    clock::{Clock, SystemClock},
    pki::{Ca, Validity},
};

use super::{rsa::Key, vcard::Card};

pub(crate) const TAX_CODE: &str = "RSSMRA80H55D612G";
pub(crate) const ID_CARTA: &str = "6090009051055000";
pub(crate) const PERSONAL_DATA: &str = "00005F04609008010120240801012090\
05ROSSI05MARIA081506198001F0010RSSMRA80H55D612G0004D612000004D6120000";

/// `certificatePolicies` with the policy of CNS certificates, 1.3.76.16.2.1.
const POLICY: [u8; 11] = [0x30, 9, 0x30, 7, 0x06, 5, 0x2B, 0x4C, 0x10, 0x02, 0x01];

/// What goes wrong on a card.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    /// Holder and card of the certificate are others, and it has no policy.
    Certificate,
    /// The key in the chip is not the certificate's.
    Key,
}

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Keys take long to make, and one is enough.
fn key() -> Arc<Key> {
    static KEY: OnceLock<Arc<Key>> = OnceLock::new();
    Arc::clone(KEY.get_or_init(|| Arc::new(Key::generate())))
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "CNS CA for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A card of this make.
    pub(crate) fn card(&self, atr: &str, flaw: Flaw) -> Card {
        let key = key();
        let mut params = CertificateParams::default();
        let (tax_code, id) = match flaw {
            Flaw::None | Flaw::Key => (TAX_CODE, ID_CARTA),
            Flaw::Certificate => ("RSSMRA75C22H501I", "6090009051056000"),
        };
        let name = format!("{tax_code}/{id}.lsKV/lNtBAmc8x5lzSb+cxx2UzE=");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::EmailProtection];
        if flaw != Flaw::Certificate {
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 32], POLICY.to_vec()));
        }
        let certified = if flaw == Flaw::Key { Arc::new(Key::generate()) } else { Arc::clone(&key) };
        let certificate = params.signed_by(&certified.pair, &self.issuer).unwrap();
        let mut file = certificate.der().to_vec();
        file.resize(file.len().next_multiple_of(256), 0);
        let mut personal = PERSONAL_DATA.as_bytes().to_vec();
        personal.resize(400, 0);
        let files = BTreeMap::from([
            (vec![0x2F02], [&[0x5A, 8][..], &hex::decode(ID_CARTA).unwrap()].concat()),
            (vec![0x1000, 0x1002], vec![0x20; 54]),
            (vec![0x1000, 0x1003], ID_CARTA.as_bytes().to_vec()),
            (vec![0x1100, 0x1101], file),
            (vec![0x1100, 0x1102], personal),
            (vec![0x1200, 0x1201], vec![0; 400]),
            (vec![0x1200, 0x1202], vec![0; 4]),
            (vec![0x1200, 0x1203], vec![0; 160]),
        ]);
        Card::new(atr, files, key)
    }
}

/// `server.pem`, `server.key` and `server-ca.pem`.
pub(crate) fn server_files(directory: &Path) {
    let now = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now - 60_000, to_ms: now + 3_600_000 };
    let ca = Ca::new("server CA for tests", validity).unwrap();
    std::fs::write(directory.join("server-ca.pem"), ca.pem()).unwrap();
    let server = ca.server(&["localhost"], &["127.0.0.1".parse().unwrap()], validity).unwrap();
    server.write(directory, "server").unwrap();
}
