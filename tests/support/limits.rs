//! Limits so high that the one operator of tests does not meet them.

/// Of one operator, in a minute, an hour and a day.
pub(crate) const OPERATOR: u32 = 98_000_000;
/// Of an office, which is above its operators' (the policy's check wants it).
pub(crate) const OFFICE: u32 = 99_000_000;
/// Of a front end, which is above its offices'.
pub(crate) const FRONT_END: u32 = 100_000_000;

/// The text of an `authority.toml` with such limits.
pub(crate) fn generous(parameters: &str) -> String {
    let mut most = 0_u32;
    let mut lines = Vec::new();
    for line in parameters.lines() {
        if line.starts_with('[') {
            most = match line {
                "[limits.operator]" => OPERATOR,
                "[limits.office]" => OFFICE,
                "[limits.front_end]" => FRONT_END,
                _ => 0,
            };
        }
        match line.split_once(" = {") {
            Some((name, _)) if most > 0 => lines.push(limit(name, (most, most, most))),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// A limit as `authority.toml` has it: in a minute, an hour and a day.
pub(crate) fn limit(name: &str, (minute, hour, day): (u32, u32, u32)) -> String {
    format!("{name} = {{ per_minute = {minute}, per_hour = {hour}, per_day = {day} }}")
}
