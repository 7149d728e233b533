use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::super::{report::Diagnostic, span::lines};
use super::*;

const VALUES: Values<'_> = Values {
    target: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 9), 32)),
    port: 11,
    mode: "stcp",
    proof: "none",
    reason: "syn to TCP port 11",
    until: None,
    id: None,
};

const VALUES_V6: Values<'_> = Values {
    target: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9), 128)),
    port: 11,
    mode: "stcp",
    proof: "none",
    reason: "syn to TCP port 11",
    until: None,
    id: None,
};

fn read(text: &str) -> (Option<Command>, Report) {
    let mut report = Report::new("test");
    let command = command(lines(text).next().unwrap(), &mut report);
    (command, report)
}

fn good(text: &str) -> Command {
    let (command, report) = read(text);
    assert!(report.is_empty(), "{report}");
    command.unwrap()
}

#[test]
fn a_plain_command_is_an_argument_vector() {
    for (text, argv) in [
        (
            "/sbin/route add -host $TARGET$ reject",
            &["/sbin/route", "add", "-host", "192.0.2.9", "reject"] as &[_],
        ),
        ("  x  $TARGET$/32 p=$PORT$,$MODE$ ", &["x", "192.0.2.9/32", "p=11,stcp"]),
        ("x 'Portsentry: dropping: ' '$TARGET$'", &["x", "Portsentry: dropping: ", "192.0.2.9"]),
        ("x 'a;b|c' '$HOME'", &["x", "a;b|c", "$HOME"]),
        (r"x a\ b \$TARGET$ \;", &["x", "a b", "192.0.2.9", ";"]),
        ("x ''", &["x", ""]),
        ("/opt/my=odd $PROOF$", &["/opt/my=odd", "none"]),
    ] {
        let command = good(text);
        assert!(!command.needs_shell(), "{text:?}");
        assert_eq!(command.argv(&VALUES), argv, "{text:?}");
    }
}

#[test]
fn a_shell_command_gets_the_values_as_parameters() {
    for (text, script) in [
        (
            "iptables -s $TARGET$ -j DROP && log '$TARGET$ gone'",
            r#"iptables -s "${1}" -j DROP && log ''"${1}"' gone'"#,
        ),
        ("echo $TARGET$/32 | pfctl -f -", r#"echo "${1}"/32 | pfctl -f -"#),
        ("x $PORT$ $MODE$ $PROOF$ > /tmp/y", r#"x "${2}" "${3}" "${4}" > /tmp/y"#),
        ("x '$REASON$' $UNTIL$ $ID$ > /tmp/y", r#"x ''"${5}"'' "${6}" "${7}" > /tmp/y"#),
        (r#"x "at $TARGET$" $(date)"#, r#"x "at ${1}" $(date)"#),
        (r#"x "$(id $TARGET$)""#, r#"x "$(id ${1})""#),
        (r"x \$TARGET$ \\; y", r#"x "${1}" \\; y"#),
        ("LANG=C x $TARGET$", r#"LANG=C x "${1}""#),
        (". /etc/kill $TARGET$", r#". /etc/kill "${1}""#),
        ("x *", "x *"),
    ] {
        let command = good(text);
        assert!(command.needs_shell(), "{text:?}");
        let values = ["192.0.2.9", "11", "stcp", "none", "syn to TCP port 11", "never", "none"];
        let expected = [&["/bin/sh", "-c", script, "portsentry"][..], &values].concat();
        assert_eq!(command.argv(&VALUES), expected, "{text:?}");
    }
}

/// Runs `argv`, and returns its output.
fn run(argv: &[String]) -> String {
    let output = std::process::Command::new(&argv[0]).args(&argv[1..]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn with_and_without_a_shell_a_program_gets_the_same_arguments() {
    for words in [
        "$TARGET$ a$TARGET$b '$TARGET$' 'a $TARGET$ b'",
        r#""$TARGET$" "a  $TARGET$" '' "" 'a  b' $PORT$"#,
        r#"\$TARGET$ "\$TARGET$" \a \\ "\\" "a\b" '\' a\ b"#,
        "'it'\\''s' $MODE$$PROOF$ $PORT$-$PORT$",
    ] {
        for values in [VALUES, VALUES_V6] {
            let plain = good(&format!("printf <%s> {words}").replace("<%s>", "'<%s>'"));
            let shell = good(&format!("printf '<%s>' {words}; true"));
            assert!(!plain.needs_shell() && shell.needs_shell());
            assert_eq!(run(&plain.argv(&values)), run(&shell.argv(&values)), "{words:?}");
        }
    }
}

#[test]
fn no_value_ever_reaches_the_shell_as_text() {
    let hostile = Values { mode: "$(echo owned); `echo owned` '\"", ..VALUES };
    for text in ["echo $MODE$;:", "echo '$MODE$';:", "echo \"$MODE$\";:", "echo \\$MODE$;:"] {
        let output = run(&good(text).argv(&hostile));
        assert_eq!(output, format!("{}\n", hostile.mode), "{text:?}");
    }
    assert_eq!(good("echo $MODE$").argv(&hostile), ["echo", hostile.mode]);
}

#[test]
fn a_command_is_described_as_portsentry_logs_it() {
    let command = good("/sbin/route add '$TARGET$' | x");
    assert_eq!(command.describe(&VALUES), "/sbin/route add '192.0.2.9' | x");
    assert_eq!(command.to_string(), "/sbin/route add '$TARGET$' | x");
}

#[test]
fn faults_of_a_command() {
    for (text, errors, at) in [
        ("x 'abc", true, "'"),
        ("x \"abc", true, "\""),
        ("x $TARGT$", false, "$TARGT$"),
        ("x $$IP$$TARGET$", false, "$IP$"),
    ] {
        let (_, report) = read(text);
        assert_eq!(report.has_errors(), errors, "{text:?}");
        assert_eq!(report.iter().map(Diagnostic::text).collect::<Vec<_>>(), [at], "{text:?}");
    }
    assert_eq!(read("  "), (None, Report::new("test")));
}

#[test]
fn an_address_is_required_where_it_is_needed() {
    for text in ["/sbin/route add reject", "/sbin/route add $PORT$TARGET$"] {
        let line = lines(text).next().unwrap();
        let mut report = Report::new("test");
        command_with_target(line, &mut report);
        deny_line(line, &mut report);
        let missing = report.iter().filter(|d| d.message().starts_with("$TARGET$ is missing"));
        assert_eq!(missing.count(), 2, "{text}");
    }
}

#[test]
fn a_deny_line_brackets_ipv6_once() {
    for (text, v4, v6) in [
        ("ALL: $TARGET$ : DENY", "ALL: 192.0.2.9 : DENY", "ALL: [2001:db8::9] : DENY"),
        ("ALL: [$TARGET$]", "ALL: [192.0.2.9]", "ALL: [2001:db8::9]"),
        (r"x: $TARGET$ \%c # $PORT$", r"x: 192.0.2.9 \%c # 11", r"x: [2001:db8::9] \%c # 11"),
    ] {
        let mut report = Report::new("test");
        let line = deny_line(lines(text).next().unwrap(), &mut report).unwrap();
        assert!(report.is_empty());
        assert_eq!((line.render(&VALUES), line.render(&VALUES_V6)), (v4.into(), v6.into()));
        assert_eq!(line.to_string(), text);
    }
}

proptest! {
    #[test]
    fn no_template_panics(text in r#"(\$|TARGET|\$TARGET\$|\$PORT\$|'|"|\\|[|;& #=]|[a-zA-Zé]){0,20}"#) {
        let (command, report) = read(&text);
        let _ = report.to_string();
        if let Some(command) = command {
            prop_assert!(!command.argv(&VALUES).is_empty());
            prop_assert_eq!(command.to_string(), text.trim_ascii());
        }
        deny_line(lines(&text).next().unwrap(), &mut Report::new("test"));
    }

    #[test]
    fn values_never_change_how_many_arguments_there_are(text in r"[a-z]( |\$MODE\$|'|[a-z]){0,20}", mode: String) {
        if let Some(command) = read(&text).0 {
            let hostile = Values { mode: &mode, ..VALUES };
            prop_assert_eq!(command.argv(&hostile).len(), command.argv(&VALUES).len());
        }
    }
}

#[test]
fn a_network_has_its_length_behind_the_brackets() {
    let target = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 0), 64));
    let values = Values { target, ..VALUES_V6 };
    for (text, expected) in [
        ("ALL: $TARGET$ : DENY", "ALL: [2001:db8:1:2::]/64 : DENY"),
        ("ALL: [$TARGET$] : DENY", "ALL: [2001:db8:1:2::]/64 : DENY"),
        ("ALL: $TARGET$ # $PORT$", "ALL: [2001:db8:1:2::]/64 # 11"),
    ] {
        let mut report = Report::new("test");
        let line = deny_line(lines(text).next().unwrap(), &mut report).unwrap();
        assert_eq!(line.render(&values), expected, "{text}");
    }
    let command = good("/sbin/ip -6 route add blackhole $TARGET$");
    assert_eq!(command.argv(&values).last().map(String::as_str), Some("2001:db8:1:2::/64"));
}
