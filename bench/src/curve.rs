//! Shows that some quantities don't make a packet more expensive: the number of blocked sources, watched ports,
//! ignored networks, and interfaces.

use std::{ops::Range, process::Command};

use anyhow::{Context, Result, ensure};
use portsentry::policy::placement::Placement;
use serde::{Deserialize, Serialize};

use crate::{
    bed::{Bed, Making},
    bytecode::own,
    cases::{DROP, Floors, Led, PASS, hot, in_family},
    paths::{Path, paths},
    sources::{FAMILIES, HONEST},
    turns::{Contender, Cost, measure},
};

/// Numbers of blocked sources per address family.
const BLOCKED: [u32; 7] = [0, 1_000, 10_000, 100_000, 1_000_000, 2_000_000, 4_000_000];
/// Frames that always have the same source.
const HOT: [&str; 4] = [
    "TCP data to a service, IPv4",
    "TCP data to a service, IPv6",
    "a blocked source, IPv4",
    "a blocked source, IPv6",
];

/// The cost of a frame for growing values of a quantity.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Quantity and cost.
    pub(crate) points: Vec<(u32, Cost)>,
}

/// Measures costs for several numbers of blocked sources. All programs are loaded at the same time.
pub(crate) fn by_blocked(rounds: u32) -> Result<Vec<Curve>> {
    let floors = Floors::load(PASS)?;
    let beds = BLOCKED.map(|blocked| Making::new(blocked).load());
    let beds = beds.into_iter().collect::<Result<Vec<_>>>()?;
    let mut led = Vec::new();
    for (bed, blocked) in beds.iter().zip(BLOCKED) {
        for family in FAMILIES {
            let mut walk = |what: &str, action, sources: Range<u32>| -> Result<()> {
                let name = in_family(what, family);
                let walk = Led::walk(family, name, (bed.program()?, &floors.frags), action, sources)?;
                led.push((blocked, walk));
                Ok(())
            };
            walk("honest sources at random", PASS, blocked..blocked + HONEST)?;
            if blocked > 0 {
                walk("blocked sources at random", DROP, 0..blocked)?;
            }
        }
    }
    let mut contenders = Vec::new();
    for (bed, blocked) in beds.iter().zip(BLOCKED) {
        for path in hot_paths() {
            contenders.push((blocked, hot(&path, path.name.into(), bed.program()?, own(&floors.frags)?)));
        }
    }
    for (blocked, led) in &led {
        contenders.push((*blocked, led.contender()?));
    }
    curves(contenders, rounds)
}

/// Measures an honest packet for growing values of other quantities.
pub(crate) fn by_others(rounds: u32) -> Result<Vec<Curve>> {
    const INTERFACES: u32 = 16;
    let floors = Floors::load(PASS)?;
    let base = || Making::new(1_000);
    let makings: [(&str, [(u32, Making); 2]); 4] = [
        ("watched ports", [444, 1 << 16].map(|ports| (ports, Making { ports, ..base() }))),
        ("ignored networks", [1, 8_000].map(|ignored| (ignored, Making { ignored, ..base() }))),
        ("blocked networks", [0, 8_000].map(|networks| (networks, Making { networks, ..base() }))),
        ("interfaces", [1, INTERFACES].map(|count| (count, base()))),
    ];
    let mut beds = Vec::new();
    for (what, makings) in makings {
        for (count, making) in makings {
            let mut bed = making.load()?;
            if what == "interfaces" {
                attach(&mut bed, count)?;
            }
            beds.push((what, count, bed));
        }
    }
    let mut contenders = Vec::new();
    for (what, count, bed) in &beds {
        for path in hot_paths().filter(|path| path.passes) {
            let name = format!("{}, by {what}", path.name);
            contenders.push((*count, hot(&path, name, bed.program()?, own(&floors.frags)?)));
        }
    }
    curves(contenders, rounds)
}

fn hot_paths() -> impl Iterator<Item = Path> {
    paths().into_iter().filter(|path| HOT.contains(&path.name))
}

/// Attaches to `count` new interfaces in the bench's own network namespace.
fn attach(bed: &mut Bed, count: u32) -> Result<()> {
    for number in 0..count {
        let name = format!("many{count}-{number}");
        let made = Command::new("ip").args(["link", "add", &name, "type", "veth"]).status();
        ensure!(made.context("`ip` of iproute2")?.success(), "no interface {name}");
        bed.kernel.attach(&name, Placement::Auto)?;
    }
    Ok(())
}

/// Measures all points in turns, and groups them by name.
fn curves(contenders: Vec<(u32, Contender<'_>)>, rounds: u32) -> Result<Vec<Curve>> {
    let (counts, contenders): (Vec<_>, Vec<_>) = contenders.into_iter().unzip();
    let mut curves: Vec<Curve> = Vec::new();
    for (count, cost) in counts.into_iter().zip(measure(&contenders, rounds)?) {
        match curves.iter_mut().find(|curve| curve.name == cost.name) {
            Some(curve) => curve.points.push((count, cost)),
            None => curves.push(Curve { name: cost.name.clone(), points: vec![(count, cost)] }),
        }
    }
    Ok(curves)
}
