//! A captured gateway: speaks NATS with the gateway's own key, and says what a companion never would.

use std::process::Output;

use super::{Fleet, server_address};

/// Connects with the certificate in the second argument's directory, sends the frames on standard input, and prints the answers.
const SCRIPT: &str = r#"
import json, os, select, socket, ssl, sys
directory = sys.argv[2]
plain = socket.create_connection((sys.argv[1], 4222))
plain.recv(65536)
context = ssl.create_default_context(cafile=directory + "/servers.pem")
context.load_cert_chain(directory + "/gateway.pem", directory + "/gateway.key")
stream = context.wrap_socket(plain, server_hostname=sys.argv[1])
options = {"verbose": False, "headers": True, "no_responders": True, "protocol": 1}
stream.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
stream.sendall(os.read(0, 1 << 26) if sys.argv[3] == "once" else b"")
if sys.argv[3] != "once":
    frames = os.read(0, 1 << 26)
    for _ in range(int(sys.argv[3])):
        stream.sendall(frames)
stream.sendall(b"PING\r\n")
answers = b""
while not answers.endswith(b"PONG\r\n"):
    if not select.select([stream], [], [], 10)[0] and not stream.pending():
        break
    some = stream.recv(65536)
    if not some:
        break
    answers += some
# Answers of JetStream come after that of the server itself.
while select.select([stream], [], [], 1)[0]:
    some = stream.recv(65536)
    if not some:
        break
    answers += some
sys.stdout.buffer.write(answers)
"#;

impl Fleet {
    /// Sends frames with the key of a gateway. Returns the answers.
    pub fn speak_as(&self, gateway: usize, frames: &str) -> String {
        self.speak(gateway, frames, "once")
    }

    /// Sends frames many times with the key of a gateway.
    pub fn flood_as(&self, gateway: usize, frames: &str, times: u32) {
        self.speak(gateway, frames, &times.to_string());
    }

    fn speak(&self, gateway: usize, frames: &str, times: &str) -> String {
        let input = self.files.path().join(format!("frames-{gateway}"));
        std::fs::write(&input, frames).expect("a file");
        // It has a machine of its own.
        let mut command = self.namespace(gateway).command("nice");
        command.args(["-n", "19", "/usr/bin/python3", "-c", SCRIPT, &server_address(0)]);
        command.arg(self.directory(gateway)).arg(times);
        let input = std::fs::File::open(input).expect("a file");
        let Output { status, stdout, stderr } = command.stdin(input).output().expect("python3");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }
}
