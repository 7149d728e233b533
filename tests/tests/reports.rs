//! The report on a period: its counts, its page, and who may make it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use portsentry_tests::{
    lab::{Family, Lab, binary},
    month,
};
use serde_json::Value;

/// Widths of a phone, a tablet and a desktop screen, in CSS pixels.
const WIDTHS: [u32; 3] = [360, 768, 1280];
/// A user whose only group has the same number, and one outside of that group.
const MEMBER: u32 = 4242;
const OUTSIDER: u32 = 65534;

fn generated(events: usize) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let config = month::write(directory.path(), events, now).expect("a history");
    (directory, config)
}

fn report(config: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("-c").arg(config).args(["report", "--utc", "--since", "30d"]).args(words);
    command.output().expect("it runs")
}

fn page(directory: &Path, config: &Path) -> (PathBuf, String) {
    let path = directory.join("report.html");
    let done = report(config, &["--html", &path.display().to_string()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(&path).expect("a page");
    (path, text)
}

#[test]
fn a_generated_month_is_counted_and_judged() {
    let (_directory, config) = generated(20_000);
    let done = report(&config, &["--json"]);
    let summary: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let [now, before] = [0, 1].map(|index| &summary["totals"][index]);
    let sum = |totals: &Value| {
        ["blocked", "fenced", "lifted"].iter().filter_map(|name| totals[name].as_u64()).sum::<u64>()
    };
    // The last month has a sweep of a twelfth, and its blocks, in addition.
    assert!((20_000..=24_000).contains(&sum(now)), "{now}");
    assert!((9_000..=11_000).contains(&sum(before)), "{before}");
    assert_eq!(summary["ports"][0]["name"], "23/TCP");
    let slow: Vec<&Value> = summary["who"]["slow"][0].as_array().expect("a list").iter().collect();
    assert_eq!(slow[0]["address"], "198.51.100.77", "{slow:?}");
    let commands: Vec<&str> = summary["advice"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["command"].as_str())
        .collect();
    for expected in ["portsentry why 10.0.0.23", "portsentry why 203.0.113.99", "portsentry review"] {
        assert!(commands.contains(&expected), "{expected}: {commands:?}");
    }
    assert!(summary["news"].to_string().contains("Port 11434/TCP is new"), "{}", summary["news"]);
    let text = String::from_utf8(report(&config, &[]).stdout).expect("text");
    for part in
        ["What deserves a decision", "When (by day and hour)", "Repeat offenders", "In force now: 0 blocked"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_page_is_one_file_without_scripts_and_never_overflows() {
    let (directory, config) = generated(20_000);
    let (path, text) = page(directory.path(), &config);
    assert!(text.contains("Example Servers &lt;b&gt;&amp;amp;&lt;/b&gt; Sons"), "{text}");
    assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("@import"), "{text}");
    // Debian's package chromium; the test of the widths is part of .ci/nightly.
    if Command::new("chromium").arg("--version").output().is_err() {
        return;
    }
    let measured = measure(directory.path(), &path);
    for width in WIDTHS {
        let within = format!("{width}:{width};");
        assert!(measured.contains(&within), "{within} {measured}");
    }
}

/// Opens the page in frames of these widths, and returns `WIDTH:NEEDED;` for each.
fn measure(directory: &Path, page: &Path) -> String {
    let name = page.file_name().expect("a name").to_string_lossy();
    let frame = |width: u32| format!("<iframe src='{name}' width={width} height=800 frameborder=0></iframe>");
    let frames = WIDTHS.map(frame).concat();
    let script = "onload = () => { document.title = [...document.querySelectorAll('iframe')].map(frame => \
                  frame.width + ':' + frame.contentDocument.documentElement.scrollWidth + ';').join('') }";
    let outer = directory.join("frames.html");
    fs::write(&outer, format!("<!doctype html><title></title>{frames}<script>{script}</script>"))
        .expect("a page");
    let mut chromium = Command::new("timeout");
    chromium.args([
        "60",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]);
    chromium.args(["--hide-scrollbars", "--allow-file-access-from-files", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    let done = chromium.arg(format!("file://{}", outer.display())).output().expect("Chromium");
    let dom = String::from_utf8_lossy(&done.stdout).into_owned();
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.map(|(title, _)| title.to_owned()).unwrap_or(dom)
}

#[test]
fn a_report_confines_itself_to_its_file() {
    let (directory, config) = generated(1000);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.html");
    // A link leads out of the directory that may be written to.
    std::os::unix::fs::symlink(elsewhere.path().join("target"), &path).expect("a link");
    let done = report(&config, &["--html", &path.display().to_string()]);
    assert!(!done.status.success() && !elsewhere.path().join("target").exists(), "{done:?}");
}

#[test]
fn a_user_without_rights_gets_the_daemons_entries() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("CONTROL_GROUP", &MEMBER.to_string());
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    daemon.wait_until("the history has it", || !daemon.file_about("HISTORY_FILE", source).is_empty());
    let of_root = setup.say("report --json --since 1h").json();
    assert_eq!(of_root["totals"][0]["sources"], 1, "{of_root}");
    let of_member = setup.say_as(MEMBER, "report --json --since 1h").json();
    for part in ["totals", "ports", "kinds"] {
        assert_eq!(of_member[part], of_root[part], "{part}");
    }
    assert_eq!(of_member["held"]["blocked"], of_root["held"]["blocked"]);
    let refused = setup.say_as(OUTSIDER, "report");
    assert!(refused.code == 1 && refused.errors.contains("CONTROL_GROUP"), "{refused:?}");
}
