//! Scratch.
mod floor;
mod machine;
mod paths;
use aya::programs::{TestRun, TestRunOptions};
use bytemuck::Zeroable;
use portsentry::kernel::{Load, Pins, Watched};
use portsentry_common::{block::Block, settings::*};
use portsentry_tests::frames::*;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("paths") {
        for (name, run) in paths::count().unwrap() {
            println!("{name:50} {:4} {:?}", run.instructions, run.calls);
        }
        return;
    }
    let blocked: u32 = std::env::args().nth(1).map_or(100_000, |s| s.parse().unwrap());
    let dir = std::path::PathBuf::from(format!("/sys/fs/bpf/bench-{}", std::process::id()));
    let pins = Pins::open(&dir).unwrap();
    let load = Load {
        settings: Settings {
            event_rate: 1000,
            trigger: 1,
            tcp_response: 1,
            udp_response: 1,
            ack_probes: AckProbes::Report as u8,
            remembers: 1,
            ..Settings::UNSET
        },
        max_blocked: blocked + 1000,
        max_sources: 1 << 16,
        max_networks: 1024,
        max_fenced: 1 << 16,
        ring_size: 1 << 20,
        debug: std::env::var_os("DEBUG").is_some(),
    };
    let place = portsentry_tests::place::sockets();
    portsentry_tests::namespace::with_sockets(&place, move || {
        let (mut kernel, _ring) = load.load(pins).unwrap();
        let full = Box::new([u64::MAX; 1024]);
        kernel.watch(Watched::AdvancedTcp, &full).unwrap();
        kernel.watch(Watched::AdvancedUdp, &full).unwrap();
        let local = portsentry_tests::place::local().into_iter().map(|(n, l)| (n, l as u32));
        kernel.local.replace(&local.collect()).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let block = Block::zeroed();
        for _ in 0..blocked / 2 {
            let a = loop {
                let a = rng.u32(0x0100_0000..0xdf00_0000);
                if a >> 8 != 0xc00002 && a >> 8 != 0xc63364 {
                    break a;
                }
            };
            kernel.blocked.insert(std::net::Ipv4Addr::from(a).into(), &block).unwrap();
            let a = (0x2001u128 << 112) | (u128::from(rng.u64(..)) << 48) | 1;
            kernel.blocked.insert(std::net::Ipv6Addr::from(a).into(), &block).unwrap();
        }
        kernel.blocked.insert("192.1.2.66".parse().unwrap(), &block).unwrap();
        kernel.blocked.insert("2001:dba:bad::66".parse().unwrap(), &block).unwrap();
        let floor = floor::Floor::load(2);
        let cases: Vec<(&str, Packet)> = vec![
            ("tcp rst v4 (no probe)", tcp(RST).to("198.51.100.1:22")),
            ("tcp rst v6 (no probe)", tcp(RST).to("[2001:db8::1]:25")),
            ("tcp ack v4 served", tcp(ACK | PSH).to("198.51.100.1:22").payload(20)),
            ("tcp ack v6 served", tcp(ACK | PSH).to("[2001:db8::1]:443").payload(20)),
            ("udp v4 served", udp().to("198.51.100.1:53").payload(30)),
            ("udp v6 served", udp().to("[2001:db8::1]:53").payload(30)),
            ("tcp syn v4 served", tcp(SYN).to("198.51.100.1:22")),
            ("tcp syn v6 served", tcp(SYN).to("[2001:db8::1]:443")),
            ("tcp ack v4 forwarded", tcp(ACK | PSH).to("11.12.13.14:22").payload(20)),
            ("tcp ack v6 forwarded", tcp(ACK | PSH).to("[2001:dbff::1]:443").payload(20)),
            ("tcp ack v4 vlan", tcp(ACK | PSH).to("198.51.100.1:22").payload(20).vlan(7)),
            ("arp", udp().to("198.51.100.1:53").announced_as(0x806)),
            ("blocked v4", tcp(SYN).to("198.51.100.1:22").from("192.1.2.66:44")),
            ("blocked v6", tcp(SYN).to("[2001:db8::1]:443").from("[2001:dba:bad::66]:44")),
        ];
        let repeat = 50_000;
        let rounds = std::env::var("ROUNDS").map_or(30, |s| s.parse().unwrap());
        let f = tcp(ACK).to("198.51.100.1:22").frame(1);
        let mut floors = vec![];
        let mut all: Vec<Vec<i64>> = vec![vec![]; cases.len()];
        let mut best = i64::MAX;
        for _ in 0..200 {
            best = best.min(
                floor
                    .program()
                    .test_run(TestRunOptions { data_in: Some(&f), repeat: 50_000, ..TestRunOptions::new() })
                    .unwrap()
                    .duration
                    .as_nanos() as i64,
            );
        }
        for _ in 0..rounds {
            for (i, (_, p)) in cases.iter().enumerate() {
                for _ in 0..6 {
                    let run = || {
                        floor
                            .program()
                            .test_run(TestRunOptions {
                                data_in: Some(&f),
                                repeat: 20_000,
                                ..TestRunOptions::new()
                            })
                            .unwrap()
                            .duration
                            .as_nanos() as i64
                    };
                    let fl = run();
                    if fl > best + 1 {
                        continue;
                    }
                    let ns = kernel.try_frame(&p.frame(1), repeat).unwrap().duration.as_nanos() as i64;
                    let fl2 = run();
                    if fl2 > best + 1 {
                        continue;
                    }
                    floors.push(fl);
                    all[i].push(ns - (fl.min(fl2)));
                    break;
                }
            }
        }
        floors.sort();
        println!("floor min {} median {}", floors[0], floors[floors.len() / 2]);
        for (i, (what, p)) in cases.iter().enumerate() {
            let v = &mut all[i];
            v.sort();
            if v.is_empty() {
                continue;
            }
            let t = kernel.try_frame(&p.frame(1), 1).unwrap();
            println!(
                "{what:24} n {} min +{} q1 +{} median +{} q3 +{}  {:?}",
                v.len(),
                v[0],
                v[v.len() / 4],
                v[v.len() / 2],
                v[v.len() * 3 / 4],
                t.action
            );
        }
        println!("{:?}", kernel.counters().unwrap());
    });
    for e in std::fs::read_dir(&dir).unwrap().flatten() {
        let _ = std::fs::remove_file(e.path());
    }
    let _ = std::fs::remove_dir_all(&dir);
}
