//! The control socket: requests from root and other users, and clients that try to block it.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use portsentry_tests::lab::{Family, Lab, Portsentry, Reach};
use serde_json::{Value, json};

/// An unprivileged user.
const NOBODY: u32 = 65534;
/// The documented limits.
const CLIENTS: usize = 16;
const LONGEST: usize = 4096;

fn socket(setup: &Portsentry<'_>) -> PathBuf {
    setup.setting("CONTROL_SOCKET").into()
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream
}

/// Returns the answer, or null if the server closes the connection without one.
fn answer(mut stream: UnixStream) -> Value {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

fn ask(path: &Path, line: &[u8]) -> Value {
    let mut stream = connect(path);
    stream.write_all(line).expect("it is read");
    answer(stream)
}

fn status(path: &Path) -> Value {
    ask(path, b"{\"v\":1,\"do\":\"status\"}\n")
}

/// Sends a request as another user, who needs access to the socket.
fn ask_as(user: u32, path: &Path, line: &str) -> Value {
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(20)\ns.connect(sys.argv[1])\n\
                  s.sendall(sys.argv[2].encode())\nprint(s.makefile().read())";
    let user = user.to_string();
    let ended = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "/usr/bin/python3", "-c", script])
        .args([path.as_os_str(), line.as_ref()])
        .output()
        .expect("setpriv of util-linux");
    let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    serde_json::from_str(out.trim())
        .unwrap_or_else(|error| json!({"none": format!("{error}: {out}{errors}")}))
}

/// Makes a lab's directory readable by other users.
fn open(lab: &Lab) {
    std::fs::set_permissions(lab.files(), PermissionsExt::from_mode(0o755)).expect("a mode");
}

#[test]
fn status_tells_how_the_daemon_is() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let said = status(&socket(&setup));
    let ok = &said["ok"];
    assert_eq!(
        (&said["v"], &ok["process"], &ok["sessions"]),
        (&json!(1), &json!(daemon.process()), &json!(1)),
        "{said}"
    );
    assert_eq!(
        (&ok["held"], &ok["interfaces"], &ok["last_error"]),
        (&json!(1), &json!(["eth0"]), &Value::Null),
        "{said}"
    );
    assert_eq!(ok["counters"]["probes"], daemon.counter("probes"));
    assert_eq!(ok["ring"]["size"], 4 << 20, "{said}");
    assert!(ok["uptime"].is_u64() && ok["started"].is_string() && ok["lost"] == 0, "{said}");
    let path = socket(&setup);
    daemon.terminate();
    assert!(!path.exists(), "it goes with the daemon");
}

#[test]
fn root_may_block_and_let_in_and_others_may_only_look() {
    let lab = Lab::new();
    open(&lab);
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let path = socket(&setup);
    let source = lab.source(Family::V4);
    let block = format!("{{\"v\":1,\"do\":\"block\",\"addresses\":[\"{source}\"]}}\n");
    let unblock = format!("{{\"v\":1,\"do\":\"unblock\",\"addresses\":[\"{source}\"]}}\n");

    assert!(ask_as(NOBODY, &path, "{\"v\":1,\"do\":\"status\"}\n")["ok"]["process"].is_u64());
    for line in [&block, &unblock, "{\"v\":1,\"do\":\"reload\"}\n", "{\"v\":1,\"do\":\"summary\"}\n"] {
        let said = ask_as(NOBODY, &path, line);
        assert_eq!(said["error"]["code"], "forbidden", "{line}{said}");
    }
    assert!(daemon.blocked().is_empty());
    assert_eq!(status(&path)["ok"]["sessions"], 1);

    assert_eq!(ask(&path, block.as_bytes())["ok"], json!({"changed": [source], "unchanged": []}));
    assert_eq!(daemon.blocked(), [source]);
    assert_eq!(daemon.file_about("BLOCKED_FILE", source).len(), 1, "the file says it when the answer does");
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    assert_eq!(ask(&path, block.as_bytes())["ok"], json!({"changed": [], "unchanged": [source]}));
    let said = ask_as(NOBODY, &path, &unblock);
    assert_eq!((&said["error"]["code"], daemon.blocked()), (&json!("forbidden"), vec![source]));
    assert_eq!(ask(&path, unblock.as_bytes())["ok"], json!({"changed": [source], "unchanged": []}));
    assert!(service.answers(&lab.scanner, source, Reach::Expected));

    let own = Family::V4.host();
    let both = format!("{{\"v\":1,\"do\":\"block\",\"addresses\":[\"{source}\",\"{own}\"]}}\n");
    let refused = ask(&path, both.as_bytes());
    assert_eq!(refused["error"]["code"], "refused", "{refused}");
    assert!(daemon.blocked().is_empty(), "all or none");
}

#[test]
fn a_group_may_keep_others_out() {
    let lab = Lab::new();
    open(&lab);
    let setup = lab.portsentry("-stcp").with("CONTROL_GROUP", "4242");
    let _daemon = setup.start();
    let path = socket(&setup);
    let line = "{\"v\":1,\"do\":\"status\"}\n";
    assert!(ask_as(NOBODY, &path, line)["none"].is_string(), "they can't even connect");
    assert!(ask_as(4242, &path, line)["ok"].is_object());
    assert_eq!(ask_as(4242, &path, "{\"v\":1,\"do\":\"reload\"}\n")["error"]["code"], "forbidden");
}

#[test]
fn senseless_requests_are_refused() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    let path = socket(&setup);
    let long = format!("{{\"v\":1,\"do\":\"status\",\"x\":\"{}\"}}\n", "x".repeat(LONGEST));
    let endless = "x".repeat(LONGEST * 4);
    for (line, code) in [
        ("\n", "malformed"),
        ("status\n", "malformed"),
        ("{\"do\":\"status\"}\n", "malformed"),
        ("{\"v\":2,\"do\":\"status\"}\n", "version"),
        ("{\"v\":1,\"do\":\"shutdown\"}\n", "malformed"),
        (&long, "too_long"),
        (&endless, "too_long"),
    ] {
        let mut stream = connect(&path);
        // The server may close the socket before the line is sent.
        let _ = stream.write_all(line.as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(said["error"]["code"], code, "{line:.40} {text}");
    }
    let half = connect(&path);
    half.shutdown(Shutdown::Write).expect("half a connection");
    assert_eq!(answer(half)["error"]["code"], "malformed");
    assert!(status(&path)["ok"].is_object(), "it goes on");
}

#[test]
fn slow_clients_hold_up_nobody() {
    let lab = Lab::new();
    open(&lab);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let path = socket(&setup);
    // More clients than allowed, of root and of other users, none of which sends a request.
    let script = format!(
        "import socket,sys,time\nall=[]\nfor i in range({}):\n s=socket.socket(socket.AF_UNIX)\n \
            s.connect(sys.argv[1])\n \
         all.append(s)\nprint('there',flush=True)\ntime.sleep(60)",
        CLIENTS + 4
    );
    let mut crowd = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", &script])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("setpriv");
    let mut there = [0; 5];
    crowd.stdout.take().expect("a pipe").read_exact(&mut there).expect("the crowd is there");
    assert!(status(&path)["ok"].is_object(), "root never waits behind others");
    let slow = connect(&path);
    let mut drop_by_drop = connect(&path);
    let _ = drop_by_drop.write_all(b"{\"v\":1,");
    assert_eq!(answer(slow)["error"]["code"], "too_slow");
    assert_eq!(answer(drop_by_drop)["error"]["code"], "too_slow");
    // By now these clients have been disconnected, too.
    daemon.wait_until("others can ask again", || {
        ask_as(NOBODY, &path, "{\"v\":1,\"do\":\"status\"}\n")["ok"].is_object()
    });
    crowd.kill().expect("it ends");
    crowd.wait().expect("it has ended");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
}

#[test]
fn a_reload_says_whether_the_configuration_is_right() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let path = socket(&setup);
    setup.clone().with("TCP_PORTS", "1,7,99").write();
    assert_eq!(ask(&path, b"{\"v\":1,\"do\":\"reload\"}\n")["ok"], json!({}));
    daemon.wait_until("a new session", || status(&path)["ok"]["sessions"] == 2);
    setup.clone().with("TCP_PORTS", "many").write();
    let refused = ask(&path, b"{\"v\":1,\"do\":\"reload\"}\n");
    assert_eq!(refused["error"]["code"], "refused", "{refused}");
    assert!(refused["error"]["details"].to_string().contains("TCP_PORTS"), "{refused}");
    daemon.wait_until("the error is remembered", || {
        status(&path)["ok"]["last_error"]["message"].as_str().is_some_and(|text| !text.is_empty())
    });
    assert_eq!(ask(&path, b"{\"v\":1,\"do\":\"summary\"}\n")["ok"], json!({}));
    daemon.log().wait_for("Summary: ");
}

#[test]
fn a_socket_that_can_not_be_had_keeps_nothing_from_being_watched() {
    let lab = Lab::new();
    let path = lab.files().join("precious");
    std::fs::write(&path, "precious").expect("a file");
    let setup = lab.portsentry("-stcp").with("CONTROL_SOCKET", &path.display().to_string());
    let daemon = setup.start();
    daemon.log().wait_for("the path exists and is not a socket");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    daemon.kill();
    assert_eq!(std::fs::read_to_string(&path).expect("it is still there"), "precious");
    // The next daemon removes a killed daemon's socket.
    let setup = lab.portsentry("-stcp");
    setup.start().kill();
    assert!(socket(&setup).exists());
    let daemon = setup.start();
    assert!(status(&socket(&setup))["ok"].is_object());
    // Without the socket, the command edits the blocked file.
    daemon.terminate();
    let setup = setup.with("CONTROL_SOCKET", "off");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    assert!(setup.say(&format!("block {source}")).out.contains("being blocked by the running daemon"));
    daemon.wait_until("the kernel follows", || daemon.blocked().contains(&source));
}
