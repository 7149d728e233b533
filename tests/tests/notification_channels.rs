//! The channels of `portsentry-notify`: mail by Debian's aiosmtpd, reports to a server that speaks as `AbuseIPDB` documents it,
//! HTTPS with a certificate of the system, and the requests of each kind of webhook.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use portsentry_tests::lab::{Daemon, Family, Lab, Notifier, Portsentry, Received, Receiver, Reply};

const REPETITION: &str = r#"{"errors":[{"detail":"You can only report the same IP address (`192.0.2.9`) once in 15 minutes.","status":429,"source":{"parameter":"ip"}}]}"#;
const LIMIT: &str = r#"{"errors":[{"detail":"Daily rate limit of 1000 requests exceeded for this endpoint. See headers for additional details.","status":429}]}"#;
const REPORTED: &str = r#"{"data":{"ipAddress":"192.0.2.9","abuseConfidenceScore":52}}"#;

/// A program that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(mut command: Command) -> Server {
    Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a server starts"))
}

/// Starts both, and waits until the notifier follows.
fn start<'lab>(setup: &Portsentry<'lab>) -> (Daemon<'lab>, Notifier) {
    let daemon = setup.start();
    let notifier = setup.start_notifier();
    let position = setup.lab().files().join("spool/position");
    daemon.wait_until("it follows", || position.exists());
    (daemon, notifier)
}

/// Creates a certificate for localhost. Returns the files of the certificate and of its key.
fn certificate(directory: &Path) -> [PathBuf; 2] {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| directory.join(name));
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '));
    openssl.args("-subj /CN=localhost -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost -keyout".split(' ')).arg(&key);
    let made = openssl.arg("-out").arg(&certificate).stderr(Stdio::null()).status();
    assert!(made.is_ok_and(|made| made.success()), "openssl makes a certificate");
    [certificate, key]
}

/// Starts Debian's aiosmtpd on port 2525, with STARTTLS if there is a certificate.
fn serve_mail(lab: &Lab, mails: &Path, certificate: Option<&[PathBuf; 2]>) -> Server {
    let mut command = lab.host.command("aiosmtpd");
    command.args(["-n", "-l", "127.0.0.1:2525", "-c", "aiosmtpd.handlers.Mailbox"]);
    if let Some([certificate, key]) = certificate {
        command.arg("--tlscert").arg(certificate).arg("--tlskey").arg(key);
    }
    command.arg(mails);
    serve(command)
}

fn mails(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory.join("new")).into_iter().flatten().flatten();
    files.map(|file| fs::read_to_string(file.path()).expect("a mail")).collect()
}

#[test]
fn a_mail_arrives_once_although_the_server_is_away_and_the_notifier_is_killed() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with_notifier();
    let channel = "[mail]\nCHANNEL=\"mail\"\nTO=\"root@example.org, Admin <admin@example.org>\"\n\
        SERVER=\"127.0.0.1:2525\"\nEVENTS=\"block\"\n";
    setup.write_notify(channel);
    let (daemon, notifier) = start(&setup);
    let first = daemon.block_source(Family::V4);
    notifier.log.wait_for("[mail] Connection error");
    drop(notifier);
    let second = daemon.block_source(Family::V4);
    let directory = lab.files().join("mails");
    let _server = serve_mail(&lab, &directory, None);
    let _notifier = setup.start_notifier();
    let about = |source: IpAddr| {
        let line = format!("Host {source} ");
        mails(&directory).iter().filter(|mail| mail.contains(&line)).count()
    };
    daemon.wait_until("both blocks arrive", || about(first) > 0 && about(second) > 0);
    let last = daemon.block_source(Family::V4);
    daemon.wait_until("the last one arrives", || about(last) > 0);
    assert_eq!([first, second, last].map(about), [1, 1, 1], "{:#?}", mails(&directory));
    let mails = mails(&directory);
    for line in
        ["From: portsentry@web1", "Auto-Submitted: auto-generated", "admin@example.org", "Message-ID: <mail-"]
    {
        assert!(mails.iter().all(|mail| mail.contains(line)), "{line} in {mails:#?}");
    }
}

/// The program fails once; the mail goes out nevertheless, and once.
#[test]
fn a_mail_goes_through_sendmail_once_it_can() {
    const SENDMAIL: &str = "#!/bin/sh
out=$(dirname \"$0\")/sent
mkdir -p \"$out\"
[ -e \"$out/tried\" ] || { : > \"$out/tried\"; echo 'the queue is full' >&2; exit 75; }
file=$out/mail.$$
{ echo \"$@\"; cat; } > \"$file.part\"
mv \"$file.part\" \"$file\"
";
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with_notifier();
    let directory = lab.files().join("mta");
    fs::create_dir(&directory).expect("a directory");
    let program = directory.join("sendmail");
    fs::write(&program, SENDMAIL).expect("a program");
    for path in [&directory, &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("a mode");
    }
    let program = program.display();
    setup.write_notify(&format!(
        "[mail]\nCHANNEL=\"mail\"\nTO=\"root@example.org\"\nSENDMAIL=\"{program}\"\nEVENTS=\"block\"\n"
    ));
    let (daemon, notifier) = start(&setup);
    let source = daemon.block_source(Family::V4);
    notifier.log.wait_for("exit status: 75: the queue is full");
    let sent = || {
        let files = fs::read_dir(directory.join("sent")).into_iter().flatten().flatten();
        let mails = files.filter(|file| file.path().extension().is_some_and(|end| end != "part"));
        mails.map(|file| fs::read_to_string(file.path()).expect("a mail")).collect::<Vec<_>>()
    };
    daemon.wait_until("the mail is sent", || !sent().is_empty());
    let mails = sent();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0].starts_with("-i -f portsentry@web1 -- root@example.org\n"), "{mails:#?}");
    assert!(mails[0].contains(&format!("Host {source} ")) && !mails[0].contains('\r'), "{mails:#?}");
}

/// A scan that touches no trap is only reported; a channel takes it by its kind.
#[test]
fn a_scan_without_traps_is_sent_to_the_channel_of_its_kind() {
    let lab = Lab::new();
    let receiver = Receiver::start(&lab.host, |_, _| Reply::status(200));
    let setup = lab.portsentry("-stcp").with_notifier().with("BLOCK_UNPROVEN", "0");
    let setup = setup.with("SCAN_DETECTION", "report").with("SCAN_MEMORY", "1");
    setup.write_notify(&format!(
        "[scans]\nCHANNEL=\"webhook\"\nURL=\"{url}/scans\"\nEVENTS=\"all\"\nKINDS=\"slow-scan sweep\"\n\
         [others]\nCHANNEL=\"webhook\"\nURL=\"{url}/others\"\nEVENTS=\"all\"\nKINDS=\"!slow-scan\"\n",
        url = receiver.url()
    ));
    let (daemon, _notifier) = start(&setup);
    let [source, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    // Closed ports that are no traps, then a trap.
    for port in 2000..2016 {
        let _ = lab.scanner.connect_from(source, (Family::V4.host(), port).into(), Duration::from_secs(1));
    }
    lab.nmap(other, "-sS -p 1");
    let of = |path: &str| {
        let all = receiver.received().into_iter().filter(|request| request.line.contains(path));
        all.map(|request| request.body).collect::<Vec<_>>()
    };
    let names =
        |bodies: &[String], source: IpAddr| bodies.iter().any(|body| body.contains(&source.to_string()));
    daemon.wait_until("both arrive", || names(&of("/scans"), source) && names(&of("/others"), other));
    let scans = of("/scans");
    assert!(scans.iter().all(|body| body.contains("slow scan")) && !names(&scans, other), "{scans:#?}");
    let others = of("/others");
    assert!(others.iter().all(|body| !body.contains("slow scan")), "{others:#?}");
}

#[test]
fn mail_and_webhooks_are_encrypted_with_the_systems_certificates() {
    // Prints nothing, and answers every request.
    const HTTPS: &str = "import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with_notifier();
    setup.write_notify(
        "[mail]\nCHANNEL=\"mail\"\nTO=\"root@example.org\"\nSERVER=\"localhost:2525\"\nSERVER_TLS=\"starttls\"\n\
         [hook]\nCHANNEL=\"webhook\"\nURL=\"https://localhost:8443/\"\n",
    );
    let certificate = certificate(lab.files());
    let directory = lab.files().join("mails");
    let _mail = serve_mail(&lab, &directory, Some(&certificate));
    let mut https = lab.host.command("python3");
    https.args(["-c", HTTPS]).args(&certificate);
    let _https = serve(https);
    let test = |is_known: bool| {
        let mut command = setup.notifier(&["--test"]);
        if is_known {
            command.env("SSL_CERT_FILE", &certificate[0]);
        }
        String::from_utf8(command.output().expect("the notifier starts").stdout).expect("UTF-8")
    };
    let daemon = setup.start();
    daemon.wait_until("both arrive", || test(true) == "mail: OK\nhook: OK\n");
    assert!(mails(&directory)[0].contains("This is a test of portsentry's notifications"));
    let refused = test(false);
    assert_eq!(refused.matches("invalid peer certificate").count(), 2, "{refused}");
}

/// Returns the value of a field of a form.
fn field(request: &Received, name: &str) -> String {
    let fields = request.body.split('&').filter_map(|field| field.split_once('='));
    fields
        .into_iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
        .unwrap_or_default()
}

#[test]
fn proven_sources_are_reported_once_whatever_the_service_answers() {
    let lab = Lab::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let rest = format!(
        "X-RateLimit-Limit: 1000\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {}\r\n",
        now + 3600
    );
    let script = move |_: &Received, number: usize| match number {
        0 => Reply::status(500),
        1 => Reply::Status(429, "Retry-After: 1\r\n".into(), LIMIT.into()),
        2 => Reply::Status(200, String::new(), REPORTED.into()),
        // The report is received, but the connection breaks: the second attempt is refused as a repetition.
        3 => Reply::Nothing,
        4 => Reply::Status(429, String::new(), REPETITION.into()),
        // An answer that never comes.
        5 => Reply::Silence,
        _ => Reply::Status(200, rest.clone(), REPORTED.into()),
    };
    let service = Receiver::start(&lab.host, script);
    let setup = lab.portsentry("-stcp").with_notifier().with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
    lab.poll_scanner();
    setup.write_notify(&format!(
        "[abuse]\nCHANNEL=\"abuseipdb\"\nURL=\"{}/api/v2\"\nKEY=\"secret\"\n",
        service.url()
    ));
    let (daemon, notifier) = start(&setup);
    let unproven = lab.source(Family::V4);
    lab.nmap(unproven, "-sS -p 11");
    assert_eq!(daemon.setup().say_words(&["block", "203.0.113.7"]).code, 0);
    let prove = |()| {
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sT -p 11");
        daemon
            .log()
            .wait_for(&format!("Host {source} has been blocked in the kernel (proof: completed handshake)"));
        source
    };
    let sources = [(); 3].map(prove);
    let spool = lab.files().join("spool");
    let cursor = || -> serde_json::Value {
        let text = fs::read_to_string(spool.join("abuse.channel")).expect("a position");
        serde_json::from_str(&text).expect("JSON")
    };
    // Not only received: killed before it has read the answer, the notifier would send the report again.
    daemon.wait_until("the last one is reported", || cursor()["today"] == 3);
    // Nothing is reported again by the next process, which keeps the service's rest.
    drop(notifier);
    let _notifier = setup.start_notifier();
    let late = prove(());
    daemon.wait_until("it waits in the spool", || {
        let files = fs::read_dir(&spool).expect("a directory").flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.into_iter().any(|text| text.contains(&format!("\"{late}\"")))
    });
    let requests = service.received();
    let expected = [0, 0, 0, 1, 1, 2, 2].map(|index: usize| sources[index].to_string());
    assert_eq!(requests.iter().map(|request| field(request, "ip")).collect::<Vec<_>>(), expected);
    for request in &requests {
        assert_eq!((request.line.as_str(), request.header("key")), ("POST /api/v2/report", "secret"));
        assert_eq!(field(request, "categories"), "14");
        let comment = field(request, "comment");
        assert!(comment.starts_with("Port%20scan%3A%20") && comment.contains("TCP%20port%20"), "{comment}");
        assert!(!request.body.contains("192.0.2.1&") && !comment.contains("192.0.2.1"), "{comment}");
        assert!(field(request, "timestamp").ends_with('Z'), "{request:?}");
    }
    let cursor = cursor();
    assert_eq!((cursor["not_before"].as_u64(), cursor["today"].as_u64()), (Some(now + 3600), Some(3)));
}

#[test]
fn each_kind_of_webhook_gets_its_request() {
    let lab = Lab::new();
    let script =
        |request: &Received, _| Reply::status(if request.line.contains("closed") { 403 } else { 200 });
    let receiver = Receiver::start(&lab.host, script);
    let url = receiver.url();
    let channel = |name: &str, more: &str| {
        format!("[{name}]\nCHANNEL=\"{name}\"\nURL=\"{url}/{name}\"\nEVENTS=\"block\"\n{more}")
    };
    let body = lab.files().join("body");
    fs::write(&body, "$ACTION$ of $SOURCE$ at $HOST$").expect("a file");
    let own =
        format!("BODY_FILE=\"{}\"\nCONTENT_TYPE=\"text/plain\"\nHEADER=\"X-Own: a b\"\n", body.display());
    let channels = [
        channel("slack", ""),
        channel("discord", ""),
        channel("ntfy", "TOKEN=\"tk\"\n"),
        channel("matrix", "TOKEN=\"syt\"\nROOM=\"!a:example.org\"\n"),
        channel("webhook", &own),
    ]
    .concat();
    let setup = lab.portsentry("-stcp").with_notifier();
    setup
        .write_notify(&format!("{channels}[other]\nCHANNEL=\"slack\"\nURL=\"{url}/other\"\nKINDS=\"udp\"\n"));
    let (daemon, _notifier) = start(&setup);
    let source = daemon.block_source(Family::V4);
    daemon.wait_until("all arrive", || receiver.received().len() >= 5);
    let requests = receiver.received();
    let of = |name: &str| {
        let found: Vec<_> =
            requests.iter().filter(|request| request.line.contains(&format!("/{name}"))).collect();
        assert_eq!(found.len(), 1, "{name}: {requests:#?}");
        found[0].clone()
    };
    let words = format!("Host {source} has been blocked");
    assert!(of("slack").json()["text"].as_str().is_some_and(|text| text.contains(&words)));
    let discord = of("discord").json();
    assert!(discord["content"].as_str().is_some_and(|text| text.contains(&words)));
    assert_eq!(discord["allowed_mentions"]["parse"], serde_json::json!([]));
    let ntfy = of("ntfy");
    assert!(
        ntfy.body.contains(&words) && ntfy.header("title").contains("[portsentry] web1: Host"),
        "{ntfy:?}"
    );
    assert_eq!((ntfy.header("priority"), ntfy.header("authorization")), ("4", "Bearer tk"));
    let matrix = of("matrix");
    let key = matrix.header("idempotency-key").trim_matches('"').to_owned();
    let path = format!("PUT /matrix/_matrix/client/v3/rooms/%21a%3Aexample.org/send/m.room.message/{key}");
    assert_eq!((matrix.line.clone(), matrix.json()["msgtype"].as_str()), (path, Some("m.notice")));
    let own = of("webhook");
    assert_eq!(
        (own.body.as_str(), own.header("x-own")),
        (format!("block of {source} at web1").as_str(), "a b")
    );

    setup.write_notify(&format!("{channels}[down]\nCHANNEL=\"slack\"\nURL=\"{url}/closed\"\n"));
    let said = setup.notify(&["--test"]);
    let expected = "slack: OK\ndiscord: OK\nntfy: OK\nmatrix: OK\nwebhook: OK\ndown: HTTP status 403: \n";
    assert_eq!((said.code, said.out.as_str()), (1, expected), "{}", said.errors);
    assert_eq!(setup.notify(&["--test", "ntfy"]).out, "ntfy: OK\n");
    assert_eq!(setup.notify(&["--test", "nobody"]).code, 1);
}
