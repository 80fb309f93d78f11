//! Runs over their time, one panel a figure: what a mean hides, as a server that slows down or memory that grows.

use std::fmt::{Error, Write};

use super::{LEFT, WIDTH, colours, legend};
use crate::{
    number::{float, per},
    run::{Run, Window},
};

/// Top of the first panel, height of each, and room between two.
const TOP: f64 = 30.0;
const HEIGHT: f64 = 140.0;
const BETWEEN: f64 = 40.0;

/// A panel's name, and its figure of a part of a run.
type Panel = (&'static str, fn(&Window) -> Option<f64>);

const PANELS: [Panel; 3] = [
    ("requests a second", |window| per(float(window.requests), window.seconds)),
    ("p99, ms", |window| (window.requests > 0).then(|| float(window.p99_us) / 1e3)),
    ("server's memory, MiB", |window| window.resident_mib),
];

/// Seconds since the begin, and the figure, at the end of each part that has one.
fn points(run: &Run, figure: fn(&Window) -> Option<f64>) -> Vec<(f64, f64)> {
    let (mut at, mut points) = (0.0, Vec::new());
    for window in &run.windows {
        at += window.seconds;
        points.extend(figure(window).map(|figure| (at, figure)));
    }
    points
}

/// An SVG document.
pub(crate) fn svg(runs: &[Run]) -> Result<String, String> {
    let end = |run: &Run| run.windows.iter().map(|window| window.seconds).sum::<f64>();
    let longest = runs.iter().map(end).fold(0.0, f64::max);
    if longest > 0.0 {
        draw(runs, longest).map_err(|e| e.to_string())
    } else {
        Err("no run has parts to draw".into())
    }
}

fn draw(runs: &[Run], longest: f64) -> Result<String, Error> {
    let panels = PANELS.iter().zip((0_u32..).map(f64::from));
    let bottom = TOP + float(crate::number::count(PANELS.len())) * (HEIGHT + BETWEEN);
    let mut svg = super::begin(bottom + 18.0 * float(crate::number::count(runs.len())))?;
    for ((name, figure), n) in panels {
        let (top, base) = (TOP + n * (HEIGHT + BETWEEN), TOP + n * (HEIGHT + BETWEEN) + HEIGHT);
        let lines: Vec<_> = runs.iter().map(|run| points(run, *figure)).collect();
        let most =
            lines.iter().flatten().map(|(_, figure)| *figure).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        writeln!(svg, r#"<text x="{LEFT}" y="{:.1}" font-weight="bold">{name}</text>"#, top - 8.0)?;
        for share in [0.0, 0.5, 1.0] {
            let (y, end, value) = (base - HEIGHT * share, LEFT + WIDTH, most * share);
            writeln!(svg, r##"<path d="M{LEFT} {y:.1}H{end}" stroke="#ddd"/>"##)?;
            writeln!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{value:.1}</text>"#,
                LEFT - 6.0,
                y + 4.0
            )?;
            let (x, seconds) = (LEFT + WIDTH * share, longest * share);
            writeln!(
                svg,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{seconds:.0} s</text>"#,
                base + 16.0
            )?;
        }
        for (line, colour) in lines.iter().zip(colours()) {
            let mut path = String::new();
            for (index, (at, figure)) in line.iter().enumerate() {
                let to = if index == 0 { 'M' } else { 'L' };
                write!(path, "{to}{:.1} {:.1}", LEFT + WIDTH * at / longest, base - HEIGHT * figure / most)?;
            }
            if !path.is_empty() {
                writeln!(svg, r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#)?;
            }
        }
    }
    legend(&mut svg, runs, bottom)?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let window = |requests, memory| Window {
            seconds: 2.0,
            requests,
            p99_us: 5000,
            resident_mib: memory,
            ..Window::default()
        };
        Run {
            what: "mixed".into(),
            windows: vec![window(100, None), window(0, Some(80.0))],
            ..Run::default()
        }
    }

    #[test]
    fn a_point_is_at_the_end_of_its_part_and_what_is_not_known_has_none() {
        let [(_, rate), (_, p99), (_, memory)] = PANELS;
        assert_eq!(points(&run(), rate), [(2.0, 50.0), (4.0, 0.0)]);
        assert_eq!(points(&run(), p99), [(2.0, 5.0)], "no request, no latency");
        assert_eq!(points(&run(), memory), [(4.0, 80.0)]);
    }

    #[test]
    fn each_run_has_a_line_in_each_panel_and_nothing_is_not_drawn() {
        let svg = svg(&[run(), run()]).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("stroke-width=\"1.5\"").count(), 6);
        super::svg(&[Run::default()]).unwrap_err();
    }
}
