//! Line plots as SVG: several series over linear axes.
//!
//! Ink and grid are of a grey that reads on light and on dark ground, and nothing is painted behind them.

use std::fmt::Write as _;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A line through all points, with a dot at each.
    Line,
    /// The same, dashed.
    Dashes,
    /// Dots alone.
    Dots,
    /// Rings around points that other series have.
    Rings,
}

/// Points of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// In the legend.
    pub(crate) name: String,
    /// x and y; points that are not finite are left out.
    pub(crate) points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub(crate) mark: Mark,
}

/// A plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Above the plot.
    pub(crate) title: String,
    /// Name and unit of x.
    pub(crate) x: String,
    /// Name and unit of y.
    pub(crate) y: String,
    /// In the order of the legend.
    pub(crate) series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 64.0;
const LEGEND_LINE: f64 = 20.0;

/// Colours that are told apart in colour-blindness too, on light and on dark ground (Okabe and Ito, without black and yellow).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const INK: &str = "#808080";

/// Most gaps between ticks of an axis.
const GAPS_MAX: f64 = 7.0;

/// An axis from `first` to `last` tick.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    first: f64,
    step: f64,
    gaps: usize,
}

impl Axis {
    /// Round numbers around all values.
    fn new(values: impl Iterator<Item = f64>) -> Axis {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (0.0, 1.0);
        }
        // A single value, and spans that its digits do not resolve.
        let span = (most - least).max(least.abs().max(most.abs()) * 1e-9).max(1e-30);
        let rough = span / GAPS_MAX;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(10.0 * power);
        let first = (least / step).floor() * step;
        let gaps = ((most - first) / step).ceil().max(1.0) as usize;
        Axis { first, step, gaps }
    }

    fn last(&self) -> f64 {
        self.first + self.step * self.gaps as f64
    }

    /// Where a value lies between the first tick, 0, and the last, 1.
    fn share(&self, value: f64) -> f64 {
        (value - self.first) / (self.last() - self.first)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (0..=self.gaps).map(|index| self.first + self.step * index as f64)
    }

    /// A tick's number with the decimals that the steps need.
    fn label(&self, tick: f64) -> String {
        let whole = |decimals: &i32| {
            let scaled = self.step * 10_f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        };
        let decimals = (0..20).find(whole).unwrap_or(20) as usize;
        let text = format!("{tick:.decimals$}");
        // A tick a rounding error below zero.
        if text.chars().all(|c| matches!(c, '-' | '0' | '.')) { text.trim_start_matches('-').into() } else { text }
    }
}

/// Text inside an element.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // What XML 1.0 does not allow.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

impl Plot {
    fn finite(series: &Series) -> impl Iterator<Item = (f64, f64)> + '_ {
        series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// The plot as an SVG document.
    pub(crate) fn svg(&self) -> String {
        let x = Axis::new(self.series.iter().flat_map(Self::finite).map(|point| point.0));
        let y = Axis::new(self.series.iter().flat_map(Self::finite).map(|point| point.1));
        let legend = LEGEND_LINE * self.series.len() as f64;
        let height = HEIGHT + legend;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let at = |point: (f64, f64)| (LEFT + x.share(point.0) * (right - LEFT), bottom - y.share(point.1) * (bottom - TOP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"{INK}\">\n"
        );
        // Writing to a string cannot fail.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(svg, "{text}");
        };
        line(format_args!("<title>{}</title>", escaped(&self.title)));
        line(format_args!("<text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>", escaped(&self.title)));
        line(format_args!("<g stroke=\"{INK}\" stroke-opacity=\"0.3\">"));
        for tick in x.ticks() {
            let place = at((tick, y.first)).0;
            line(format_args!("<line x1=\"{place:.2}\" y1=\"{TOP}\" x2=\"{place:.2}\" y2=\"{bottom}\"/>"));
        }
        for tick in y.ticks() {
            let place = at((x.first, tick)).1;
            line(format_args!("<line x1=\"{LEFT}\" y1=\"{place:.2}\" x2=\"{right}\" y2=\"{place:.2}\"/>"));
        }
        line(format_args!("</g>\n<g stroke=\"{INK}\" fill=\"none\"><path d=\"M{LEFT} {TOP}V{bottom}H{right}\"/></g>"));
        line(format_args!("<g text-anchor=\"middle\">"));
        for tick in x.ticks() {
            let place = at((tick, y.first)).0;
            line(format_args!("<text x=\"{place:.2}\" y=\"{}\">{}</text>", bottom + 19.0, x.label(tick)));
        }
        let middle = 0.5 * (LEFT + right);
        line(format_args!("<text x=\"{middle}\" y=\"{}\">{}</text>", bottom + 42.0, escaped(&self.x)));
        let middle = 0.5 * (TOP + bottom);
        line(format_args!("<text transform=\"translate(20 {middle}) rotate(-90)\">{}</text>\n</g>", escaped(&self.y)));
        line(format_args!("<g text-anchor=\"end\">"));
        for tick in y.ticks() {
            line(format_args!("<text x=\"{}\" y=\"{:.2}\">{}</text>", LEFT - 8.0, at((x.first, tick)).1 + 4.5, y.label(tick)));
        }
        line(format_args!("</g>"));
        for (index, series) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<(f64, f64)> = Self::finite(series).map(at).collect();
            if let Some(path) = stroke(series.mark, &points, colour) {
                line(format_args!("{path}"));
            }
            for (x, y) in points {
                line(format_args!("{}", mark(series.mark, x, y, colour)));
            }
            let y = HEIGHT + LEGEND_LINE * index as f64;
            if let Some(path) = stroke(series.mark, &[(LEFT, y - 4.5), (LEFT + 26.0, y - 4.5)], colour) {
                line(format_args!("{path}"));
            }
            line(format_args!("{}", mark(series.mark, LEFT + 13.0, y - 4.5, colour)));
            line(format_args!("<text x=\"{}\" y=\"{y}\">{}</text>", LEFT + 34.0, escaped(&series.name)));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The line through the points of a series that has one.
fn stroke(mark: Mark, points: &[(f64, f64)], colour: &str) -> Option<String> {
    let dashes = match mark {
        Mark::Line => "",
        Mark::Dashes => " stroke-dasharray=\"6 4\"",
        Mark::Dots | Mark::Rings => return None,
    };
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
    Some(format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>", path.join(" ")))
}

fn mark(mark: Mark, x: f64, y: f64, colour: &str) -> String {
    match mark {
        Mark::Line | Mark::Dashes | Mark::Dots => format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"3\" fill=\"{colour}\"/>"),
        Mark::Rings => format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"6\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks_around_all_values() {
        for (values, labels) in [
            (&[0.12, 0.49][..], &["0.1", "0.2", "0.3", "0.4", "0.5"][..]),
            (&[-3.0, 18.0], &["-5", "0", "5", "10", "15", "20"]),
            (&[0.0, 1_200_000.0], &["0", "200000", "400000", "600000", "800000", "1000000", "1200000"]),
        ] {
            let axis = Axis::new(values.iter().copied());
            assert_eq!(axis.ticks().map(|tick| axis.label(tick)).collect::<Vec<_>>(), labels);
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.share(*value))));
        }
        for values in [&[][..], &[7.0], &[0.0], &[1e-20, 2e-20], &[1e18, 1e18 + 1.0]] {
            let axis = Axis::new(values.iter().copied());
            assert!(axis.gaps <= 16 && axis.last() > axis.first, "{values:?}: {axis:?}");
            assert!(values.iter().all(|value| (-0.001..=1.001).contains(&axis.share(*value))), "{values:?}: {axis:?}");
        }
    }

    #[test]
    fn plots_are_well_formed_and_inside_their_frame() {
        let series = |name: &str, mark| Series { name: name.into(), points: vec![(0.25, 10.0), (0.5, f64::INFINITY), (1.0, 40.0)], mark };
        let plot = Plot {
            title: "a < b & \u{1}".into(),
            x: "r".into(),
            y: "SQNR (dB)".into(),
            series: vec![series("one", Mark::Line), series("two", Mark::Dots), series("three", Mark::Rings), series("four", Mark::Dashes)],
        };
        let svg = plot.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt; b &amp; \u{fffd}") && svg.contains("SQNR (dB)"));
        assert!(!svg.contains("inf") && !svg.contains("NaN"));
        // Two finite points in each series, and one mark in the legend; lines there, too.
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count(), svg.matches("dasharray").count()), (12, 4, 2));
        let coordinate = |circle: &str, name: &str| -> f64 {
            let rest = &circle[circle.find(name).unwrap() + name.len()..];
            rest[..rest.find('"').unwrap()].parse().unwrap()
        };
        for circle in svg.lines().filter(|line| line.starts_with("<circle")) {
            let (x, y) = (coordinate(circle, "cx=\""), coordinate(circle, "cy=\""));
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT + 60.0).contains(&y), "{circle}");
        }
    }
}
