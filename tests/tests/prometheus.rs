//! Prometheus from Debian's package: it reads a real daemon's metrics, the alert rules, and the dashboard's queries.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use portsentry_tests::{
    document,
    lab::{Companion, Daemon, Family, Lab, binary, wait_within},
};
use serde_json::Value;

use crate::metrics::ADDRESS;

const DASHBOARD: &str = include_str!("../../etc/grafana-portsentry.json");
const RULES: &str = include_str!("../../etc/prometheus-portsentry.rules.yml");
const RULES_TESTS: [(&str, &str); 2] = [
    ("rules.test.yml", include_str!("../prometheus/rules.test.yml")),
    ("week.test.yml", include_str!("../prometheus/week.test.yml")),
];
/// Longer than a few scrapes of a dead daemon take.
const PATIENCE: Duration = Duration::from_mins(1);
const SERVER: &str = "127.0.0.1:9090";
/// As `docs/metrics.md` has it, but faster.
const CONFIG: &str = r#"
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files:
  - portsentry.rules.yml
scrape_configs:
  - job_name: portsentry
    static_configs:
      - targets: ["127.0.0.1:9911"]
"#;

/// Returns the path of `promtool` or `prometheus`, which `cargo xtask test` unpacks from the package `prometheus`.
fn program(name: &str) -> PathBuf {
    let target = binary().ancestors().nth(2).expect("a directory of targets").to_path_buf();
    let path = target.join("prometheus/usr/bin").join(name);
    assert!(path.exists(), "{} is missing; `cargo xtask test` brings it", path.display());
    path
}

/// Runs promtool, which must succeed, and returns its output.
fn promtool(directory: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program("promtool"));
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// A directory with the rules, their test and the server's configuration.
fn directory(lab: &Lab) -> PathBuf {
    let directory = lab.files().join("prometheus");
    fs::create_dir(&directory).expect("a directory");
    for (name, text) in
        [("portsentry.rules.yml", RULES), ("prometheus.yml", CONFIG)].into_iter().chain(RULES_TESTS)
    {
        fs::write(directory.join(name), text).expect("a file");
    }
    directory
}

/// A running Prometheus on the lab's host.
struct Server<'lab> {
    lab: &'lab Lab,
    child: Child,
}

impl<'lab> Server<'lab> {
    fn start(lab: &'lab Lab) -> Self {
        let directory = directory(lab);
        let log = fs::File::create(directory.join("log")).expect("a file");
        let mut command = lab.host.command(program("prometheus"));
        command.current_dir(directory).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={SERVER}")).stdout(Stdio::null()).stderr(log);
        Self { lab, child: command.spawn().expect("prometheus starts") }
    }

    /// Returns the result of a query, or `None` if the server doesn't answer yet.
    fn ask(&self, expression: &str) -> Option<Vec<Value>> {
        let mut curl = self.lab.host.command("curl");
        curl.args(["--silent", "--get", "--data-urlencode"]).arg(format!("query={expression}"));
        let output = curl.arg(format!("http://{SERVER}/api/v1/query")).output().expect("curl");
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].as_array().expect("a vector").clone())
    }

    /// Returns the value of a query with a single result.
    fn value(&self, expression: &str) -> Option<f64> {
        match &self.ask(expression)?[..] {
            [sample] => sample["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }

    fn wait_for(&self, daemon: &Daemon<'_>, expression: &str, expected: f64) {
        daemon.wait_until(&format!("{expression} is {expected}"), || {
            self.value(expression).is_some_and(|value| (value - expected).abs() < 0.5)
        });
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the strings called `name`, at any depth.
fn strings(name: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name).and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| strings(name, value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| strings(name, value, found)),
        _ => {}
    }
}

/// Returns the dashboard's queries for all daemons of the documented job.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut found = Vec::new();
    strings("expr", &dashboard, &mut found);
    let named = |query: String| query.replace("$job", "portsentry").replace("$instance", ".*");
    found.into_iter().map(|query| named(query).replace("$__rate_interval", "5s")).collect()
}

/// Returns the series that the dashboard's variables take their values from.
fn variables() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut found = Vec::new();
    strings("definition", &dashboard, &mut found);
    let series = |text: &String| {
        let series = text.strip_prefix("label_values(")?.rsplit_once(", ")?.0;
        Some(series.replace("$job", "portsentry"))
    };
    found.iter().map(|text| series(text).expect("a variable by its label")).collect()
}

/// Returns the query of the panel called `title`.
fn query_of(title: &str) -> String {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let place = panels.iter().find(|panel| panel["title"] == title).expect("a panel");
    let expression = place["targets"][0]["expr"].as_str().expect("a query");
    expression.replace("$job", "portsentry").replace("$instance", ".*")
}

#[test]
fn the_alert_rules_hold_what_their_test_expects() {
    let lab = Lab::new();
    let directory = directory(&lab);
    let checked = promtool(&directory, &["check", "rules", "portsentry.rules.yml"], "");
    assert!(checked.contains("SUCCESS: "), "{checked}");
    for (test, _) in RULES_TESTS {
        let tested = promtool(&directory, &["test", "rules", test], "");
        assert!(tested.contains("SUCCESS"), "{tested}");
    }
    let alerts: Vec<_> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(RULES_TESTS.iter().any(|(_, text)| text.contains(alert)), "{alert} has no test");
    }
    let document = document::read("docs/metrics.md");
    let metric = regex::Regex::new(r"\bportsentry_[a-z_]+").expect("a pattern");
    let expressions = RULES.lines().filter(|line| !line.trim_start().starts_with(['#', 's', 'd']));
    for found in expressions.flat_map(|line| metric.find_iter(line)) {
        assert!(document.contains(&format!("| `{}`", found.as_str())), "{} is no metric", found.as_str());
    }
}

#[test]
fn prometheus_text_is_clean() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("METRICS_LISTEN", ADDRESS).start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let url = format!("http://{ADDRESS}/metrics");
    let get = |accept: &str| {
        lab.host.run("curl", &["--silent", "--include", "--header", &format!("Accept: {accept}"), &url])
    };
    daemon.wait_until("an action is counted", || get("").contains("portsentry_actions_total{"));
    for (accept, media, is_open) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", false),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", false),
        (
            "application/openmetrics-text;q=0.2, text/plain;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            true,
        ),
        (";;q=nonsense,,/", "text/plain; version=0.0.4; charset=utf-8", false),
    ] {
        let answer = get(accept);
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("\r\nContent-Type: {media}\r\n")), "{accept}: {head}");
        assert_eq!(text.ends_with("# EOF\n"), is_open, "{accept}");
        if !is_open {
            assert_eq!(promtool(lab.files(), &["check", "metrics"], text), "", "{accept}");
        }
    }
}

#[test]
fn the_dashboards_queries_have_results_and_show_a_dead_daemon() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("METRICS_LISTEN", ADDRESS).in_fleet("*");
    let daemon = setup.start();
    let server = Server::start(&lab);
    let mut companion = Companion::join(&setup.share_socket());
    // No gateway may name a private address.
    companion.block("gw2", &["198.51.100.7", "10.0.0.1"].map(|text| text.parse().expect("an address")));
    companion.report();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let health = query_of("Health");
    server.wait_for(&daemon, &health, 1.0);
    for query in queries().into_iter().filter(|query| !query.ends_with(" == 0") && !query.ends_with(" > 0")) {
        daemon.wait_until(&format!("{query} has a result"), || {
            server.ask(&query).is_some_and(|result| !result.is_empty())
        });
    }
    // Those of annotations mark moments.
    for query in queries() {
        assert!(server.ask(&query).is_some(), "{query}");
    }
    let exists = |variable: &String| server.ask(variable).is_some_and(|series| !series.is_empty());
    assert!(variables().len() == 2 && variables().iter().all(exists));
    server.wait_for(&daemon, &query_of("Blocked now"), 1.0);
    assert_eq!(server.value("count(ALERTS{severity=\"critical\"}) or vector(0)"), Some(0.0));

    daemon.kill();
    let is = |expression: &str, expected: f64| {
        server.value(expression).is_some_and(|value| (value - expected).abs() < 0.5)
    };
    wait_within(PATIENCE, || format!("{health} is {:?}", server.ask(&health)), || is(&health, -1.0));
    assert!(variables().iter().all(exists), "the daemon can still be chosen");
    assert_eq!(server.ask(&query_of("Blocked now")), Some(vec![]), "an old figure is not shown as today's");
    assert!(is(&query_of("Daemons"), -1.0));
    wait_within(
        PATIENCE,
        || "the alert is pending".into(),
        || is("count(ALERTS{alertname=\"PortsentryDown\"})", 1.0),
    );
}
