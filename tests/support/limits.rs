//! Limits so high that the one operator of tests does not meet them.

/// The text of an `authority.toml` with such limits.
pub(crate) fn generous(parameters: &str) -> String {
    let mut most = 0_u32;
    let mut lines = Vec::new();
    for line in parameters.lines() {
        if line.starts_with('[') {
            most = match line {
                "[limits.operator]" => 98_000_000,
                "[limits.office]" => 99_000_000,
                "[limits.front_end]" => 100_000_000,
                _ => 0,
            };
        }
        match line.split_once(" = {") {
            Some((name, _)) if most > 0 => {
                lines.push(format!("{name} = {{ per_minute = {most}, per_hour = {most}, per_day = {most} }}"))
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}
