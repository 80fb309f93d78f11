//! A good card under a good authority with a good list; a case spoils one thing and sees what is said.

use std::{fs, sync::Arc};

use sigillo::auth::cns::{Authority, OperatorCertificate, Refusal, Rules, Trust, Validator};

use crate::build::{CNS, Certificate, Crl, Key};

/// 2026-06-01, 00:00 UTC.
pub(crate) const NOW: u64 = 1_780_272_000_000;
pub(crate) const DAY: u64 = 86_400_000;
pub(crate) const HASH: &str = "lsKV/lNtBAmc8x5lzSb+cxx2UzE=";
/// A published test code: nobody's.
pub(crate) const TAX_CODE: &str = "RSSMRA75C22H501I";
pub(crate) const CARD: &str = "6090010024925003";

pub(crate) struct World {
    pub(crate) root_key: Key,
    /// Certificate of the authority in the policy.
    pub(crate) root: Certificate,
    pub(crate) leaf_key: Key,
    pub(crate) leaf: Certificate,
    /// Authorities between, from the leaf's issuer up, each with its key. The last is signed by the root.
    pub(crate) between: Vec<(Certificate, Key)>,
    /// Certificates sent beside those.
    pub(crate) also_sent: Vec<Vec<u8>>,
    pub(crate) crl: Crl,
    /// What is in the file of the list, if it is not `crl`.
    pub(crate) crl_file: Option<Option<Vec<u8>>>,
    /// Lists of authorities between.
    pub(crate) more_crls: Vec<Vec<u8>>,
    pub(crate) rules: Rules,
    pub(crate) now: u64,
    /// Who signs the leaf, if not its issuer.
    pub(crate) leaf_signer: Option<Key>,
    pub(crate) trusted: bool,
}

pub(crate) fn common_name(tax_code: &str) -> String {
    format!("{tax_code}/{CARD}.{HASH}")
}

impl World {
    pub(crate) fn new() -> Self {
        let (root_key, leaf_key) = (Key::p256(), Key::p256());
        Self {
            root: Certificate::authority("CA Cittadini", "CA Cittadini", &root_key),
            leaf: Certificate::card(&common_name(TAX_CODE), "CA Cittadini", &leaf_key),
            root_key,
            leaf_key,
            between: Vec::new(),
            also_sent: Vec::new(),
            crl: Crl::of("CA Cittadini"),
            crl_file: None,
            more_crls: Vec::new(),
            rules: Rules {
                policies: vec![CNS.parse().unwrap()],
                crl_max_age_ms: 7 * DAY,
                stale_crl_for_ms: 0,
                remember: 8,
            },
            now: NOW,
            leaf_signer: None,
            trusted: true,
        }
    }

    /// The card comes from an authority below the policy's, which has a list of its own.
    pub(crate) fn below(&mut self) -> &mut Certificate {
        let key = Key::p256();
        let sub = Certificate::authority("CA Sotto", "CA Cittadini", &key);
        self.leaf.issuer = sub.subject.clone();
        self.more_crls.push(Crl::of("CA Sotto").sign(&key));
        self.between.push((sub, key));
        &mut self.between[0].0
    }

    /// DER of the card and of what is sent with it.
    pub(crate) fn certificates(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let issuer = self.between.first().map_or(&self.root_key, |(_, key)| key);
        let leaf = self.leaf.sign(self.leaf_signer.as_ref().unwrap_or(issuer));
        let above = self.between.iter().skip(1).map(|(_, key)| key).chain([&self.root_key]);
        let mut chain: Vec<Vec<u8>> =
            self.between.iter().zip(above).map(|((certificate, _), key)| certificate.sign(key)).collect();
        chain.extend(self.also_sent.iter().cloned());
        (leaf, chain)
    }

    /// Puts the lists where they are looked for, and the policy together.
    pub(crate) fn set_up(&self) -> (tempfile::TempDir, Validator, Arc<Trust>) {
        let directory = tempfile::tempdir().unwrap();
        let file = self.crl_file.clone().unwrap_or_else(|| Some(self.crl.sign(&self.root_key)));
        if let Some(bytes) = file {
            fs::write(directory.path().join("root.crl"), bytes).unwrap();
        }
        let mut names = vec!["root.crl".to_owned()];
        for (n, list) in self.more_crls.iter().enumerate() {
            names.push(format!("sub-{n}.crl"));
            fs::write(directory.path().join(format!("sub-{n}.crl")), list).unwrap();
        }
        let root = self.root.sign(&self.root_key);
        let authorities =
            if self.trusted { vec![Authority::new("cittadini", &root, names).unwrap()] } else { Vec::new() };
        let trust = Arc::new(Trust::new(authorities, self.rules.clone()));
        let validator = Validator::new(Some(directory.path().into()));
        validator.refresh(&trust);
        (directory, validator, trust)
    }

    pub(crate) fn outcome(&self) -> Result<Arc<OperatorCertificate>, Refusal> {
        let (_directory, validator, trust) = self.set_up();
        let (leaf, chain) = self.certificates();
        validator.validate(&trust, &leaf, &chain, self.now)
    }
}
