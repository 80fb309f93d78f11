//! Latencies of runs as a drawing: one line a run, percentile against time, both by powers of ten.

pub(crate) mod time;

use std::fmt::{Error, Write};

use crate::{
    number::{float, per},
    run::Run,
};

const COLOURS: [&str; 8] =
    ["#0b6e4f", "#c1292e", "#235789", "#f1a208", "#7b2d8b", "#4d5061", "#00798c", "#a44a3f"];
/// Left, top, width and height of the drawing itself.
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Percentiles: 0, 90, 99, 99.9, 99.99.
const DECADES: f64 = 4.0;

/// Points of a run: decades of `1 / (1 - percentile)`, and microseconds.
fn points(run: &Run) -> Vec<(f64, f64)> {
    let whole = float(run.histogram.iter().map(|(_, count)| count).sum());
    let mut above = whole;
    let mut points = Vec::new();
    for (micros, count) in &run.histogram {
        // The share of requests that took longer than those before.
        if let Some(inverse) = per(whole, above) {
            points.push((inverse.log10().min(DECADES), float(*micros)));
        }
        above -= float(*count);
    }
    points
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An SVG document.
pub(crate) fn svg(runs: &[Run]) -> Result<String, String> {
    let lines: Vec<_> = runs.iter().map(points).collect();
    let all = || lines.iter().flatten().map(|(_, micros)| micros.log10());
    let low = all().fold(f64::INFINITY, f64::min).floor();
    let high = all().fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    if !low.is_finite() || !high.is_finite() {
        return Err("the file has no latencies to draw".into());
    }
    draw(runs, &lines, low, high).map_err(|e| e.to_string())
}

/// The begin of a document of this height.
fn begin(height: f64) -> Result<String, Error> {
    let (width, mut svg) = (LEFT + WIDTH + 30.0, String::new());
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>"##
    )?;
    Ok(svg)
}

/// A colour for each run, in their order.
fn colours() -> impl Iterator<Item = &'static str> {
    COLOURS.into_iter().cycle()
}

/// A line for each run, from here down.
fn legend(svg: &mut String, runs: &[Run], top: f64) -> Result<(), Error> {
    for ((run, n), colour) in runs.iter().zip(0_u32..).zip(colours()) {
        let at = top + 18.0 * f64::from(n);
        let name = escaped(&format!("{}, {}: {:.0} a second", run.what, run.pace, run.per_second));
        writeln!(svg, r#"<text x="{LEFT}" y="{at:.1}" fill="{colour}">{name}</text>"#)?;
    }
    Ok(())
}

fn draw(runs: &[Run], lines: &[Vec<(f64, f64)>], low: f64, high: f64) -> Result<String, Error> {
    let x = |decade: f64| LEFT + WIDTH * decade / DECADES;
    let y = |log: f64| TOP + HEIGHT * (high - log) / (high - low);
    let mut svg = begin(TOP + HEIGHT + 45.0 + 18.0 * float(crate::number::count(runs.len())))?;
    for (decade, name) in [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")] {
        let (x, end) = (x(decade), TOP + HEIGHT);
        writeln!(svg, r##"<path d="M{x:.1} {TOP}V{end}" stroke="#ddd"/>"##)?;
        writeln!(svg, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#, end + 16.0)?;
    }
    let mut log = low;
    while log <= high {
        let (y, end, ms) = (y(log), LEFT + WIDTH, 10_f64.powf(log) / 1e3);
        writeln!(svg, r##"<path d="M{LEFT} {y:.1}H{end}" stroke="#ddd"/>"##)?;
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{ms} ms</text>"#, LEFT - 6.0, y + 4.0)?;
        log += 1.0;
    }
    for (line, colour) in lines.iter().zip(colours()) {
        let (mut path, mut last) = (String::new(), None);
        for (decade, micros) in line {
            // One point for each tenth of the drawing's unit, which nobody sees: a file has thousands.
            let point = format!("{:.1} {:.1}", x(*decade), y(micros.log10()));
            if last.as_ref() != Some(&point) {
                write!(path, "{}{point}", if last.is_none() { 'M' } else { 'L' })?;
                last = Some(point);
            }
        }
        writeln!(svg, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#)?;
    }
    legend(&mut svg, runs, TOP + HEIGHT + 40.0)?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_where_its_percentile_begins() {
        let run = Run { histogram: vec![(100, 90), (1000, 9), (50_000, 1)], ..Run::default() };
        let points = points(&run);
        let at = |index: usize, decade: f64| (points[index].0 - decade).abs() < 1e-9;
        assert!(at(0, 0.0) && at(1, 1.0) && at(2, 2.0), "{points:?}");
        let svg = svg(&[Run { what: "a <b> & c".into(), ..run }]).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt;b&gt; &amp; c"));
        let lines: Vec<_> = svg.lines().filter(|line| line.contains("stroke-width=\"1.5\"")).collect();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].matches('M').count(), lines[0].matches('L').count()), (1, 2), "{}", lines[0]);
    }

    #[test]
    fn nothing_is_not_drawn() {
        svg(&[]).unwrap_err();
        svg(&[Run::default()]).unwrap_err();
    }
}
