//! Forms and guide of the demonstration: those that are shipped.

macro_rules! shipped {
    ($directory:literal, $($name:literal)*) => {
        [$((
            concat!("texts/", $directory, "/", $name, ".md"),
            include_str!(concat!("../../../../policies/texts/", $directory, "/", $name, ".md")),
        )),*]
    };
}

/// To be printed and signed.
pub(super) const FORMS: [(&str, &str); 9] = shipped!("forms", "activation-request" "declaration-curator" "declaration-guardian" "declaration-health-impediment" "declaration-parental-authority" "delegation" "fse-consents" "reader-request" "revocation-request");

/// A page for each function of the menu.
pub(super) const GUIDE: [(&str, &str); 9] = shipped!("guide", "activation" "forms" "fse-consents" "guide" "history" "reader-request" "reports" "reprint" "revocation");
