//! CSV as RFC 4180 has it: lines end with CR LF, a field with a comma, a quote or a line break is in quotes.

/// Appends a line. A text that a spreadsheet would take for a formula gets an apostrophe before it.
pub(super) fn line<'a>(out: &mut String, fields: impl IntoIterator<Item = &'a str>) {
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        if field.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(guard);
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(guard);
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut out = String::new();
        line(&mut out, ["a", "", "b,c", "say \"d\"", "e\nf"]);
        line(&mut out, ["g"]);
        assert_eq!(out, "a,,\"b,c\",\"say \"\"d\"\"\",\"e\nf\"\r\ng\r\n");
    }

    #[test]
    fn nothing_is_a_formula() {
        for (field, written) in [
            ("=1+1", "'=1+1"),
            ("+39", "'+39"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("\t=", "'\t="),
            ("=a,b", "\"'=a,b\""),
        ] {
            let mut out = String::new();
            line(&mut out, [field]);
            assert_eq!(out, format!("{written}\r\n"));
        }
    }
}
