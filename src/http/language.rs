//! In which language a refusal is put into words (RFC 9110, 12.5.4).

use std::cmp::Reverse;

use hyper::{HeaderMap, header::ACCEPT_LANGUAGE};

/// A language that texts of problems are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// What programs get that ask for nothing: their own texts, and logs, are English too.
    English,
    /// The operators'.
    Italian,
}

impl Language {
    /// Its tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Italian => "it",
        }
    }

    /// The one that `Accept-Language` wants most: a range stands for its language whatever follows it (`it-CH` for
    /// `it`; RFC 4647, 3.4), `*` for those that are not named. What cannot be read is passed over, and without
    /// anything that fits it is English.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|list| list.to_str().ok());
        let ranges: Vec<_> = lists.flat_map(|list| list.split(',')).filter_map(range).collect();
        // Weight, then place: of equals the one that is named first is wanted.
        let wanted = |language: Self| {
            let speaks = |name: &str| {
                let mut places = ranges.iter().enumerate();
                places.find(|(_, (tag, _))| tag.eq_ignore_ascii_case(name))
            };
            let found = speaks(language.tag()).or_else(|| speaks("*"));
            found.map(|(at, (_, weight))| (*weight, Reverse(at))).filter(|(weight, _)| *weight > 0)
        };
        if wanted(Self::Italian) > wanted(Self::English) { Self::Italian } else { Self::English }
    }
}

/// One range of a list, cut to its language, with its weight in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let (tag, parameters) = text.split_once(';').unwrap_or((text, ""));
    let language = tag.trim().split('-').next()?;
    let weight = match parameters.trim() {
        "" => 1000,
        given => weight(given.strip_prefix("q=").or_else(|| given.strip_prefix("Q="))?)?,
    };
    Some((language, weight))
}

/// `1`, `0` or up to three digits after the point.
fn weight(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_is_wanted_most() {
        let of = |lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(ACCEPT_LANGUAGE, list.parse().unwrap());
            }
            Language::preferred(&headers).tag()
        };
        for (lists, tag) in [
            (&[][..], "en"),
            (&["it"], "it"),
            (&["IT-it"], "it"),
            (&["it-CH, de;q=0.9"], "it"),
            (&["de"], "en"),
            (&["*"], "en"),
            (&["en;q=0, *"], "it"),
            (&["en, it"], "en"),
            (&["it, en"], "it"),
            (&["it;q=0.5, en;q=0.7"], "en"),
            (&["en;q=0.7, it;q=0.71"], "it"),
            (&["de, it;q=0.1"], "it"),
            (&["it;q=0"], "en"),
            (&["de", "it"], "it"),
            (&["it;q=2, en;q=x, ;;"], "en"),
            (&["it;q=1.000"], "it"),
            (&["it;q=1.001"], "en"),
        ] {
            assert_eq!(of(lists), tag, "{lists:?}");
        }
    }
}
