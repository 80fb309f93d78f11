//! Cards of nobody: certificates, files, and a CNS authority of one's own.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
    date_time_ymd,
};

use crate::{card::Card, rsa::Key};

/// The holder, who is nobody.
pub const TAX_CODE: &str = "RSSMRA80H55D612G";
/// EF.ID_Carta.
pub const ID_CARTA: &str = "6090009051055000";
/// EF.Dati_personali without what fills it up.
pub const PERSONAL_DATA: &str = "00005F04609008010120240801012090\
05ROSSI05MARIA081506198001F0010RSSMRA80H55D612G0004D612000004D6120000";

/// `certificatePolicies` with the policy of CNS certificates, 1.3.76.16.2.1.
const POLICY: [u8; 11] = [0x30, 9, 0x30, 7, 0x06, 5, 0x2B, 0x4C, 0x10, 0x02, 0x01];

/// What goes wrong on a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// Holder and card of the certificate are others, and it has no policy.
    Certificate,
    /// The key in the chip is not the certificate's.
    Key,
}

/// It issues the certificates of cards.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Keys take long to make, and one is enough.
fn key() -> Arc<Key> {
    static KEY: OnceLock<Arc<Key>> = OnceLock::new();
    Arc::clone(KEY.get_or_init(|| Arc::new(Key::generate())))
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one with a new key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Virtual CNS CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A revocation list for the day around this moment, counted from 1970 UTC, that revokes nobody; PEM.
    pub fn revocation_list(&self, now: Duration) -> String {
        let hour = Duration::from_secs(3600);
        let now = date_time_ymd(1970, 1, 1) + now;
        let list = CertificateRevocationListParams {
            this_update: now - hour,
            next_update: now + 24 * hour,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A card of this make, by its answer to reset.
    pub fn card(&self, atr: &str, flaw: Flaw) -> Card {
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
