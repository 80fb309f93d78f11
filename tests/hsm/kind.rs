//! The kinds of token that these tests run on. The variable `SIGILLO_HSM` chooses: `softhsm` (default), `p11-kit`
//! or `kryoptic`. `make test` goes through all.

use std::path::{Path, PathBuf};

use crate::p11_kit;

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SQLite and OpenSSL behind a PKCS#11 3.2 module; `tests/support/kryoptic.sh` builds it, and the variable
    /// `SIGILLO_KRYOPTIC` says where it is.
    Kryoptic,
    /// SoftHSM in another process, behind p11-kit's socket.
    P11Kit,
    /// SoftHSM in this process.
    SoftHsm,
}

/// The kind of this run.
pub(crate) fn kind() -> Kind {
    let named = std::env::var_os("SIGILLO_HSM").unwrap_or_else(|| "softhsm".into());
    match named.to_str().unwrap() {
        "kryoptic" => Kind::Kryoptic,
        "p11-kit" => Kind::P11Kit,
        "softhsm" => Kind::SoftHsm,
        other => panic!("SIGILLO_HSM={other}: softhsm, p11-kit or kryoptic"),
    }
}

/// Variables that modules read.
pub(crate) const VARIABLES: [&str; 3] = ["KRYOPTIC_CONF", "P11_KIT_SERVER_ADDRESS", "SOFTHSM2_CONF"];

impl Kind {
    /// The module that the program under test loads.
    pub(crate) fn module(self) -> PathBuf {
        match self {
            Self::P11Kit => p11_kit::client(),
            Self::Kryoptic | Self::SoftHsm => self.direct(),
        }
    }

    /// The module that has the token, for what a test does to it past the program.
    pub(crate) fn direct(self) -> PathBuf {
        match self {
            Self::Kryoptic => {
                let path = std::env::var_os("SIGILLO_KRYOPTIC").map_or_else(
                    || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kryoptic/libkryoptic_pkcs11.so"),
                    PathBuf::from,
                );
                assert!(path.is_file(), "no {}: sh tests/support/kryoptic.sh", path.display());
                path
            }
            Self::P11Kit | Self::SoftHsm => p11_kit::softhsm(),
        }
    }

    /// The file, beside the token's configuration, that the direct module reads, and its text.
    pub(crate) fn settings(self, role: &str, tokens: &Path) -> (String, String) {
        let tokens = tokens.display();
        match self {
            Self::Kryoptic => {
                let slot = |id: u32| {
                    format!("[[slots]]\nslot = {id}\ndbtype = \"sqlite\"\ndbargs = \"{tokens}/{id}.sql\"\n")
                };
                (format!("kryoptic-{role}.conf"), slot(42) + &slot(43))
            }
            Self::P11Kit | Self::SoftHsm => (
                format!("softhsm2-{role}.conf"),
                format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"),
            ),
        }
    }

    /// The variable that names this file.
    pub(crate) const fn direct_variable(self) -> &'static str {
        match self {
            Self::Kryoptic => "KRYOPTIC_CONF",
            Self::P11Kit | Self::SoftHsm => "SOFTHSM2_CONF",
        }
    }
}
