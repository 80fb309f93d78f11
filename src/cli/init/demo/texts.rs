//! Forms, guide and the courier's texts in other languages: those that are shipped.

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

macro_rules! spoken {
    ($($language:literal)*) => {
        [$(
            spoken!($language, "activation.sms.txt"), spoken!($language, "activation.txt"),
            spoken!($language, "notice.sms.txt"), spoken!($language, "notice.txt"),
            spoken!($language, "renewal.sms.txt"), spoken!($language, "renewal.txt"),
            spoken!($language, "reprint.sms.txt"), spoken!($language, "reprint.txt"),
        )*]
    };
    ($language:literal, $name:literal) => {(
        concat!($language, "/", $name),
        include_str!(concat!("../../../../policies/courier/messages/", $language, "/", $name)),
    )};
}

/// The courier's texts in other languages than Italian.
pub(super) const MESSAGES: [(&str, &str); 24] = spoken!("de" "fr" "sl");
