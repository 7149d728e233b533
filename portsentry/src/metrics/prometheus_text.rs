//! Prometheus' text format, version 0.0.4, made from `OpenMetrics`: the samples are the same, but metadata names the
//! sample rather than the family, there are fewer types, and neither units nor an end mark.

use std::fmt::Write;

/// Returns `metrics`, which are `OpenMetrics`, in Prometheus' text format.
pub(super) fn from_open_metrics(metrics: &str) -> String {
    let mut text = String::with_capacity(metrics.len());
    let mut help = None;
    for line in metrics.lines() {
        let Some(metadata) = line.strip_prefix("# ") else {
            text += line;
            text.push('\n');
            continue;
        };
        let mut words = metadata.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(words)) => help = Some(words),
            (Some("TYPE"), Some(family), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                // Writing to a string never fails.
                if let Some(help) = help.take() {
                    let _ = writeln!(text, "# HELP {family}{suffix} {help}");
                }
                let _ = writeln!(text, "# TYPE {family}{suffix} {kind}");
            }
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_names_the_samples() {
        let metrics = "# HELP a Words of help.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n# HELP b_bytes B.\n\
            # TYPE b_bytes gauge\n# UNIT b_bytes bytes\nb_bytes 2.5\n# HELP c C.\n# TYPE c info\n\
            c_info{v=\"1\"} 1\n# TYPE d unknown\nd 3\n# EOF\n";
        assert_eq!(
            from_open_metrics(metrics),
            "# HELP a_total Words of help.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n# HELP b_bytes B.\n\
             # TYPE b_bytes gauge\nb_bytes 2.5\n# HELP c_info C.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n\
             # TYPE d untyped\nd 3\n"
        );
    }
}
