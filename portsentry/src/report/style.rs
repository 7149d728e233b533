//! The page's colours and layout. Pictures are drawn in the light colours; for a dark screen the style replaces each of
//! them by its counterpart.

use std::fmt::Write;

use plotters::style::RGBColor;

/// A colour on light and on dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// On light ground, and in pictures.
    pub light: u32,
    /// On dark ground.
    pub dark: u32,
}

const fn colour(light: u32, dark: u32) -> Colour {
    Colour { light, dark }
}

/// Steps of the heat map, from none to most.
pub const HEAT: [Colour; 6] = [
    colour(0x00ED_F1F5, 0x0020_2833),
    colour(0x00CC_DFF2, 0x0016_3B5F),
    colour(0x0099_C2E8, 0x001D_5488),
    colour(0x005A_9BD6, 0x002F_74B5),
    colour(0x0029_6FB1, 0x005F_A3DE),
    colour(0x000D_4277, 0x00B4_D8F7),
];
/// Blocks, fences and reports.
pub const ACTIONS: [Colour; 3] =
    [colour(0x00B9_3A0D, 0x00F0_7B4B), colour(0x00D9_9E06, 0x00F2_C14E), colour(0x0068_8A9B, 0x0094_B3C2)];
/// Text of pictures.
pub const TEXT: Colour = colour(0x004A_5563, 0x00A9_B4C0);

impl Colour {
    /// Returns the colour of pictures.
    #[must_use]
    pub const fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }
}

const LAYOUT: &str = "
:root { color-scheme: light dark; --ground: #fff; --text: #1b232d; --soft: #4a5563; --line: #d8dee5; --card: #f6f8fa; --accent: #0d4277 }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .25rem }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem }
p, ul, ol { margin: .5rem 0 }
.soft, figcaption { color: var(--soft) }
.soft, figcaption, table { font-size: .9rem }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .5rem; margin: 1rem 0; padding: 0; list-style: none }
.totals li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem }
.totals b { display: block; font-size: 1.4rem; line-height: 1.2; font-variant-numeric: tabular-nums }
figure { margin: .75rem 0 }
svg { display: block; width: 100%; height: auto; max-width: 42rem }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem; align-items: start }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; color: var(--soft); overflow-wrap: normal }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
code { font: .9em ui-monospace, monospace; background: var(--card); border: 1px solid var(--line); border-radius: .25rem; padding: .05rem .3rem }
.advice li { margin: .75rem 0 }
.key span { white-space: nowrap; margin-right: 1rem }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin-right: .35em; vertical-align: -.05em }
@media (max-width: 30rem) { .wide { display: none } }
@media print {
  :root { color-scheme: light }
  body { max-width: none; padding: 0; font-size: 10pt }
  h2, h3 { break-after: avoid }
  figure, tr, .totals li, .advice li { break-inside: avoid }
  svg { max-width: 16cm; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  .key i, .totals li { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
";

/// Returns the style sheet.
#[must_use]
pub fn sheet() -> String {
    let mut text = LAYOUT.to_owned();
    for (name, colour) in NAMED.iter().zip(ACTIONS) {
        // Writing to a string never fails.
        let _ = writeln!(text, ".{name} {{ background: #{:06x} }}", colour.light);
    }
    text += "@media screen and (prefers-color-scheme: dark) {\n  :root { --ground: #12171e; --text: #e6ebf0; --soft: #a9b4c0; \
             --line: #303a46; --card: #1a212a; --accent: #b4d8f7 }\n";
    for (name, colour) in NAMED.iter().zip(ACTIONS) {
        let _ = writeln!(text, "  .{name} {{ background: #{:06x} }}", colour.dark);
    }
    for colour in HEAT.into_iter().chain(ACTIONS).chain([TEXT]) {
        // Attributes of pictures are in upper case.
        let _ = writeln!(text, "  svg [fill=\"#{:06X}\"] {{ fill: #{:06x} }}", colour.light, colour.dark);
    }
    text + "}\n"
}

/// Names of the actions' colours.
pub const NAMED: [&str; 3] = ["blocked", "fenced", "reported"];
