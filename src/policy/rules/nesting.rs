//! How deep the expressions of a file of rules may go: told from its bytes, before Cedar's parser, which goes down as far
//! as they do and would use up the stack of its thread.

/// Most brackets and `if`s that are open at once.
const OPEN_MAX: usize = 32;
/// Most operators, dots and brackets of one rule: Cedar makes a chain of them as deep as it is long.
const LINKS_MAX: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    Comment,
    Text,
}

/// Where the text is deeper than it may be, and what is said of it.
///
/// A bracket in a string or a comment counts for nothing, so that none there seems to close one of a rule.
pub(super) fn too_deep(text: &str) -> Option<(usize, String)> {
    let (mut brackets, mut ifs, mut links) = (0_usize, 0_usize, 0_usize);
    let (mut within, mut escaped, mut before) = (In::Code, false, b' ');
    let of_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().copied().enumerate() {
        let rest = bytes.get(at..).unwrap_or_default();
        match within {
            In::Comment => {
                if matches!(byte, b'\n' | b'\r') {
                    within = In::Code;
                }
            }
            In::Text => match byte {
                b'\n' | b'\r' => return Some((at, "a string that does not end on its line".into())),
                b'"' if !escaped => within = In::Code,
                _ => escaped = byte == b'\\' && !escaped,
            },
            In::Code => match byte {
                b'"' => (within, escaped) = (In::Text, false),
                b'/' if rest.starts_with(b"//") => within = In::Comment,
                b'(' | b'[' | b'{' => {
                    brackets = brackets.saturating_add(1);
                    links = links.saturating_add(1);
                }
                b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
                b'.' | b'&' | b'|' | b'+' | b'-' | b'*' | b'!' => links = links.saturating_add(1),
                b';' => (ifs, links) = (0, 0),
                b'i' if rest.starts_with(b"if")
                    && !of_word(before)
                    && !rest.get(2).copied().is_some_and(of_word) =>
                {
                    ifs = ifs.saturating_add(1);
                }
                _ => {}
            },
        }
        before = byte;
        if brackets.saturating_add(ifs) > OPEN_MAX {
            return Some((at, format!("more than {OPEN_MAX} brackets or ifs within each other")));
        }
        if links > LINKS_MAX {
            return Some((at, format!("more than {LINKS_MAX} operators, dots and brackets in one rule")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_only_where_cedar_sees_them() {
        let open = |n: usize| "(".repeat(n);
        for (text, deep) in [
            (open(32), false),
            (open(33), true),
            (format!("{}{}", open(32), ")".repeat(32)).repeat(3), false),
            ("(//)\n".repeat(33), true),
            ("(//)\r".repeat(33), true),
            ("(\")\"".repeat(33), true),
            ("(\"\\\")\"".repeat(33), true),
            ("(\"\\\\\")".repeat(33), false),
            (format!("// {}", open(33)), false),
            (format!("\"{}\"", open(33)), false),
            ("[{(".repeat(11), true),
            ("if a then b else ".repeat(33), true),
            ("if a then b else ".repeat(32), false),
            ("iffy if_ xif ".repeat(33), false),
            ("if a;".repeat(33), false),
            ("\"no end\n\"".into(), true),
        ] {
            assert_eq!(too_deep(&text).is_some(), deep, "{text:?}");
        }
    }

    #[test]
    fn a_chain_is_as_deep_as_it_is_long() {
        for link in [".a", "+1", "-1", "*1", "&&a", "||a", "!", "[]", "{}", "()"] {
            assert!(too_deep(&link.repeat(201)).is_some(), "{link}");
            assert!(too_deep(&format!("{};", link.repeat(90)).repeat(5)).is_none(), "{link}");
        }
    }
}
