use super::{keys::KEYS, *};
use crate::{
    channel::mail::{Security, Way},
    event::LEVELS,
};

const GOOD: &str = r#"
CONTROL_SOCKET="/run/it.sock"
SPOOL_SIZE="1M"
HOST_NAME="web1"
[ops]
CHANNEL="slack"
URL="https://hooks.slack.example/services/T0/B0/x"
EVENTS="block fence !fence"
SEVERITY="warning"
COUNTRIES="!de"
NETWORKS="!10.0.0.0/8 192.0.2.0/24"
RATE="20/1h"
QUIET_HOURS="22:00-07:00"

[mail]
CHANNEL="mail"
TO="root@example.org, Admin <admin@example.org>"
SERVER="mail.example.org:587"
USER="u"
PASSWORD="p"
DIGEST="08:00"

[abuse]
CHANNEL="abuseipdb"
KEY="secret"
ONCE="1m"
"#;

fn wrong(text: &str) -> String {
    parse(text, "notify.conf").unwrap_err().to_string()
}

#[test]
fn a_file_is_read() {
    let (config, report) = parse(GOOD, "notify.conf").unwrap_or_else(|report| panic!("{report}"));
    assert!(report.is_empty(), "{report}");
    assert_eq!((config.size, config.host.as_str(), config.channels.len()), (1 << 20, "web1", 3));
    let [ops, mail, abuse] = &config.channels[..] else { panic!("three channels") };
    assert_eq!(ops.route.events.exclude, ["fence"]);
    assert_eq!(ops.route.severity.map(|level| LEVELS[level]), Some("warning"));
    assert_eq!(
        (ops.route.countries.exclude.as_slice(), ops.pace.rate),
        (&["DE".to_owned()][..], Some((20, 3600)))
    );
    assert_eq!(ops.route.networks.include, ["192.0.2.0/24".parse().unwrap()]);
    let Target::Mail { way: Way::Server(server), from, to } = &mail.target else { panic!("mail") };
    assert_eq!(
        (server.security, to.len(), from.to_string()),
        (Security::Starttls, 2, "portsentry@web1".into())
    );
    assert!(mail.pace.digest.is_some());
    assert_eq!((abuse.pace.once, abuse.pace.daily, abuse.route.proven), (900, Some(1000), true));
}

#[test]
fn a_program_sends_instead_of_a_server() {
    let text = "[m]\nCHANNEL=\"mail\"\nTO=\"a@b\"\nSENDMAIL=\"/bin/sh\"\n";
    let (config, report) = parse(text, "notify.conf").unwrap_or_else(|report| panic!("{report}"));
    assert!(report.is_empty(), "{report}");
    let Target::Mail { way: Way::Program(program), .. } = &config.channels[0].target else { panic!("mail") };
    assert_eq!(program.as_os_str(), "/bin/sh");
    let report = wrong(&format!("{text}SERVER=\"a:25\"\nUSER=\"u\"\nPASSWORD=\"p\"\n"));
    assert_eq!(report.matches("so it has no meaning here").count(), 3, "{report}");
    let (_, report) = parse(&text.replace("/bin/sh", "/no/such"), "notify.conf").unwrap();
    assert!(report.to_string().contains("warning: /no/such is missing"), "{report}");
}

#[test]
fn all_errors_are_reported_at_their_place() {
    let text = "SPOL_SIZE=\"1M\"\nURL=\"https://a/\"\nSPOOL_SIZE=\"1K\"\n[a]\nCHANNEL=\"slack\"\nRATE=\"many\"\n\
        KEY=\"x\"\n[a]\nCHANNEL=\"pigeon\"\n[b]\n[c d]\nCHANNEL=\"mail\"\nTO=\"nobody\"\nUSER=\"u\"\nwhat\nSERVER=mail\n";
    let report = wrong(text);
    for part in [
        "unknown setting SPOL_SIZE",
        "did you mean SPOOL_SIZE?",
        "URL is a channel's setting",
        "this is no size from 64K to 1G",
        "[a] has no URL",
        "a channel of kind slack has no KEY",
        " --> notify.conf:6:7",
        "there is already a section [a]",
        "\"pigeon\" is not a valid choice",
        "[b] has no CHANNEL",
        "this is no name for a section",
        "this is no mail address",
        "USER and PASSWORD belong together",
        "this line is neither a setting nor a section",
        "the value is not in quotes",
    ] {
        assert!(report.contains(part), "{part:?} in\n{report}");
    }
}

#[test]
fn every_kind_of_probe_and_scan_can_be_selected() {
    let hook = "[a]\nCHANNEL=\"webhook\"\nURL=\"http://localhost/\"\n";
    let (config, _) = parse(&format!("{hook}KINDS=\"syn Slow-Scan !sweep\"\n"), "it").unwrap();
    let kinds = &config.channels[0].route.kinds;
    assert_eq!(
        (&kinds.include[..], &kinds.exclude[..]),
        (&["syn".into(), "slow scan".into()][..], &["sweep".into()][..])
    );
    for name in portsentry::policy::kind_names() {
        let name = name.replace(' ', "-");
        assert!(parse(&format!("{hook}KINDS=\"{name}\"\n"), "it").is_ok(), "{name}");
    }
    assert!(wrong(&format!("{hook}KINDS=\"slow\"\n")).contains("slow-scan"));
}

#[test]
fn a_header_without_value_and_a_list_without_address_are_errors() {
    let hook = "[a]\nCHANNEL=\"webhook\"\nURL=\"http://localhost/\"\n";
    for (setting, message) in [
        ("HEADER=\"X-Own\"", "this is no header"),
        ("HEADER=\"X Own: a\"", "this is no header"),
        // Any other character may stand in a header's value.
        ("HEADER=\"X-Own: \u{7f}\"", "control characters"),
        ("TOKEN=\"\u{7f}\"", "control characters"),
    ] {
        let report = wrong(&format!("{hook}{setting}\n"));
        assert!(report.contains(message), "{setting}: {report}");
    }
    assert!(wrong("[a]\nCHANNEL=\"mail\"\nTO=\" , \"\n").contains("this has no mail address"));
    assert!(parse(&format!("{hook}HEADER=\"X-Own: a: b\"\n"), "it").is_ok());
}

#[test]
fn secrets_stay_secret() {
    let mail =
        "[m]\nCHANNEL=\"mail\"\nTO=\"a@b.example\"\nUSER=\"u\"\nPASSWORD=\"p\"\nSERVER=\"m.example:25\"\n";
    assert!(wrong(&format!("{mail}SERVER_TLS=\"off\"\n")).contains("without encryption"));
    assert!(parse(mail, "it").is_ok());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify.conf");
    fs::write(&path, GOOD).unwrap();
    for (mode, is_good) in [(0o644, false), (0o640, true), (0o600, true)] {
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(load(&path).is_ok(), is_good, "{mode:o}");
    }
}

#[test]
fn a_body_is_read_and_its_names_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    let text =
        format!("[a]\nCHANNEL=\"webhook\"\nURL=\"http://localhost/\"\nBODY_FILE=\"{}\"\n", path.display());
    assert!(wrong(&text).contains("can't be read"));
    fs::write(&path, "$TEXT$ $NOPE$").unwrap();
    assert!(wrong(&text).contains("contains $NOPE$"));
    fs::write(&path, "$TEXT$").unwrap();
    assert!(parse(&text, "it").is_ok());
}

#[test]
fn every_setting_has_one_row() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
