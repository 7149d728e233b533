//! Captures of tcpdump with real scanners' traffic.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Records a scan of 30 silent addresses by nmap, one of 40 by masscan, and three connections to a closed port, in a
/// namespace of its own.
const SCENE: &str = r#"
ip link set lo up
ip link add scan0 type veth peer name scan1
ip link set scan0 arp off
ip link set scan1 up
ip address add 198.18.0.1/24 dev scan0
ip link set scan0 up
cd "$0"
record() {
    tcpdump -i "$1" -U -w "$2" 'tcp or icmp' 2>"$2.log" &
    until grep -q "listening on" "$2.log"; do kill -0 $!; sleep 0.1; done
}
# All frames of a recording are in its file before it ends.
finish() {
    for try in $(seq 100); do
        [ "$(tcpdump -nr "$2" "$3" 2>/dev/null | wc -l)" -lt "$4" ] || break
        sleep 0.1
    done
    kill -INT "$1"
    wait "$1" || true
}
record scan0 silent.pcap
nmap -n -Pn -sS --send-ip -p 80 --max-retries 0 198.18.0.10-39 >nmap.log
masscan 198.18.0.100-198.18.0.139 -p 443 --rate 200 --wait 0 --adapter scan0 --adapter-ip 198.18.0.2 \
    --router-mac 02-00-00-00-00-01 >masscan.log 2>&1
finish $! silent.pcap 'tcp[tcpflags] & tcp-syn != 0' 70
record any refused.pcap
nmap -n -Pn -sT -p 1-3 --max-retries 0 127.0.0.1 >connect.log
finish $! refused.pcap 'tcp[tcpflags] & tcp-rst != 0' 3
"#;

fn detection(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portsentry-detection")).args(arguments).output().expect("the harness")
}

fn summary(file: &Path, more: &[&str]) -> String {
    let file = file.to_str().expect("a name");
    let output = detection(&[&["--pcap", file][..], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the numbers of failed pairs: all, up to our report, and up to our fence.
fn row(summary: &str, source: &str) -> [Option<u32>; 3] {
    let start = format!("| {source} |");
    let row = summary.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("no {source}: {summary}"));
    let mut cells = row.split('|').map(|cell| cell.trim().parse().ok());
    [(); 3].map(|()| cells.next().flatten())
}

/// Returns the capture in the other format: one section, one interface, and a block for each frame.
fn pcapng(pcap: &[u8]) -> Vec<u8> {
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).expect("a length").to_le_bytes();
        let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
        block.resize(padded + 8, 0);
        [block, length.to_vec()].concat()
    }
    let mut file =
        block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    file.extend(block(1, &[1, 0, 0, 0, 0, 0, 4, 0]));
    let mut rest = &pcap[24..];
    while let Some((header, data)) = rest.split_first_chunk::<16>() {
        let field = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().expect("four bytes"));
        let (frame, after) = data.split_at(field(8) as usize);
        let time = 1_000_000 * u64::from(field(0)) + u64::from(field(4));
        let [high, low] = [time >> 32, time & 0xffff_ffff].map(|it| u32::try_from(it).expect("a half"));
        let numbers = [0, high, low, field(8), field(12)].map(u32::to_le_bytes).concat();
        file.extend(block(6, &[&numbers[..], frame].concat()));
        rest = after;
    }
    file
}

#[test]
fn a_capture_of_real_scanners_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let scene =
        Command::new("unshare").args(["--net", "sh", "-euc", SCENE]).arg(folder).output().expect("unshare");
    assert!(scene.status.success(), "{}", String::from_utf8_lossy(&scene.stderr));
    let silent = folder.join("silent.pcap");
    let text = summary(&silent, &[]);
    // Both have a known scanner's header fields.
    assert_eq!(row(&text, "198.18.0.1"), [Some(30), Some(3), Some(6)], "nmap: {text}");
    assert_eq!(row(&text, "198.18.0.2"), [Some(40), Some(3), Some(6)], "masscan: {text}");
    let other = folder.join("silent.pcapng");
    fs::write(&other, pcapng(&fs::read(&silent).expect("the capture"))).expect("a file");
    assert_eq!(summary(&other, &[]), text, "the other format");
    let network = summary(&silent, &["--network", "198.18.0.128/25"]);
    assert_eq!(row(&network, "198.18.0.2")[0], Some(12), "{network}");
    assert!(!network.contains("| 198.18.0.1 |"), "{network}");
    let text = summary(&folder.join("refused.pcap"), &[]);
    assert!(text.contains("3 connections tried by 1 sources, 0 accepted"), "{text}");
    // The last frame of a capture may be cut off.
    let bytes = fs::read(&silent).expect("the capture");
    let cut = folder.join("cut.pcap");
    fs::write(&cut, &bytes[..bytes.len() - 5]).expect("a file");
    assert!(summary(&cut, &[]).contains("69 frames"));
    fs::write(&cut, "no capture").expect("a file");
    assert!(!detection(&["--pcap", cut.to_str().expect("a name")]).status.success());
}
