//! Formats a run as Markdown, mostly as ratios, because these differ least between machines.

use std::fmt::{self, Display, Formatter};

use crate::{
    cases::{CHALLENGE, DATA, DETECTED, NO_CHALLENGE, PEER, UNSERVED, in_family},
    curve::Curve,
    figures::{Classic, Load, Span},
    rate::Rate,
    report::Report,
    scale::TARGET,
    sources::FAMILIES,
    suspects::{ANSWERED, RATIOS},
    turns::Cost,
    visits,
};

/// Targets, in nanoseconds above the floor.
const TARGETS: [(&str, f64); 14] = [
    ("TCP data to a service, IPv4", 8.0),
    ("TCP data to a service, IPv6", 8.0),
    ("UDP to a service, IPv4", 8.0),
    ("UDP to a service, IPv6", 8.0),
    ("a blocked source, IPv4", 40.0),
    ("a blocked source, IPv6", 40.0),
    ("TCP data of this host leaves, IPv4", 5.0),
    ("TCP data of this host leaves, IPv6", 5.0),
    ("UDP of this host leaves, IPv4", 5.0),
    ("UDP of this host leaves, IPv6", 5.0),
    ("forwarded TCP data leaves, IPv4", 5.0),
    ("forwarded TCP data leaves, IPv6", 5.0),
    ("forwarded UDP leaves, IPv4", 5.0),
    ("forwarded UDP leaves, IPv6", 5.0),
];
/// Maximum cost of a challenge above the same probe without one, in nanoseconds.
const MOST_OF_CHALLENGE: f64 = 30.0;
/// Maximum cost of `SCAN_DETECTION` for an unserved SYN, in nanoseconds.
const MOST_OF_SCANS: f64 = 60.0;

/// The tables.
pub(crate) struct Tables<'a>(pub(crate) &'a Report);

impl Display for Tables<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let run = &report.run;
        writeln!(out, "{}, {}, load {}", run.machine, run.kernel, run.load)?;
        writeln!(out, "{}: `{}` of {}", run.date, run.command, run.version)?;
        if !report.costs.is_empty() {
            costs(out, report)?;
            suspects(out, report)?;
            challenge(out, report)?;
            scans(out, report)?;
        }
        if !report.by_blocked.is_empty() {
            curves(out, "ns above the floor, by number of blocked sources", &report.by_blocked)?;
        }
        for what in ["watched ports", "ignored networks", "blocked networks", "interfaces"] {
            let curves_of: Vec<Curve> =
                report.by_others.iter().filter(|curve| curve.name.ends_with(what)).cloned().collect();
            if !curves_of.is_empty() {
                curves(out, &format!("ns above the floor, by number of {what}"), &curves_of)?;
            }
        }
        rates(out, "Frames received and handled, a second", &report.live)?;
        rates(
            out,
            "SYNs from spoofed sources dropped, a second (target: 0.9 of xdp-filter)",
            &report.floods,
        )?;
        rates(out, "Through a veth pair, packets a second", &report.veth)?;
        rates(
            out,
            "Forwarded by a gateway, packets a second (target: 0.97 of that of nobody)",
            &report.forwarded,
        )?;
        beside(out, &report.beside)?;
        scale(out, &report.scale)?;
        visits(out, &report.visits)?;
        classic(out, &report.classic)?;
        report.missing.iter().try_for_each(|missing| writeln!(out, "\nNot measured: {missing}"))
    }
}

fn costs(out: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let blocked = report.run.blocked;
    writeln!(
        out,
        "\n| packet, {blocked} sources blocked | ns above the floor | target | xdp-filter | ratio |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for cost in
        report.costs.iter().filter(|cost| !cost.name.starts_with(PEER) && !cost.name.starts_with(CHALLENGE))
    {
        let peer = report.cost(&format!("{PEER}{}", cost.name));
        let ratio = peer.map(|peer| ratio(cost, peer));
        let target =
            TARGETS.iter().find(|(name, _)| *name == cost.name).map(|(_, most)| verdict(cost, *most));
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            cost.name,
            spread(cost),
            target.unwrap_or_default(),
            peer.map(spread).unwrap_or_default(),
            ratio.unwrap_or_default()
        )?;
    }
    Ok(())
}

/// Formats the costs of suspects' packets, and of those that a flood makes expensive, as ratios to the cost of a packet
/// that xdp-filter drops.
fn suspects(out: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let drops = FAMILIES.map(|family| report.cost(&in_family(&format!("{PEER}a blocked source"), family)));
    let [Some(drop_v4), Some(drop_v6)] = drops else { return Ok(()) };
    writeln!(out, "\n| packet, as a ratio to xdp-filter's drop | IPv4 | IPv6 | target |\n|---|---|---|---|")?;
    for (what, most) in RATIOS {
        let [Some(v4), Some(v6)] = FAMILIES.map(|family| report.cost(&in_family(what, family))) else {
            continue;
        };
        let [v4, v6] =
            [(v4, drop_v4), (v6, drop_v6)].map(|(own, drop)| own.above_floor_ns / drop.above_floor_ns);
        let target =
            most.map(|most| format!("{most}: {}", if v4.max(v6) <= most { "met" } else { "missed" }));
        writeln!(out, "| {what} | {v4:.2} | {v6:.2} | {} |", target.unwrap_or_default())?;
    }
    Ok(())
}

/// Formats the cost of a challenge, compared with a probe and with a packet that is only parsed.
fn challenge(out: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let of = |what: &str| FAMILIES.map(|family| report.cost(&in_family(what, family)));
    let [Some(v4), Some(v6)] = of(CHALLENGE) else { return Ok(()) };
    writeln!(out, "\n| a probe answered with a cookie, ns | IPv4 | IPv6 | target |\n|---|---|---|---|")?;
    let is_met = [v4, v6].iter().all(|cost| cost.above_floor_ns <= MOST_OF_CHALLENGE);
    let is_met = if is_met { "met" } else { "missed" };
    let [own_v4, own_v6] = [v4, v6].map(spread);
    writeln!(out, "| above the same, not answered | {own_v4} | {own_v6} | {MOST_OF_CHALLENGE}: {is_met} |")?;
    if let [Some(v4), Some(v6)] = of(NO_CHALLENGE) {
        writeln!(out, "| a copy that doesn't answer either | {} | {} | |", spread(v4), spread(v6))?;
    }
    if let [Some(peer_v4), Some(peer_v6)] = of(&format!("{PEER}{DATA}")) {
        let [v4, v6] = [ratio(v4, peer_v4), ratio(v6, peer_v6)];
        writeln!(out, "| ratio of the first to xdp-filter's cost of a packet | {v4} | {v6} | |")?;
    }
    if let ([Some(v4), Some(v6)], [Some(reset_v4), Some(reset_v6)]) = (of(ANSWERED), of("a reset")) {
        let above = |cost: &Cost, reset: &Cost| cost.above_floor_ns - reset.above_floor_ns;
        writeln!(out, "| above a reset | {:+.0} | {:+.0} | |", above(v4, reset_v4), above(v6, reset_v6))?;
    }
    Ok(())
}

/// Formats the cost of noting a SYN that no service answers.
fn scans(out: &mut Formatter<'_>, report: &Report) -> fmt::Result {
    let of = |what: &str| FAMILIES.map(|family| report.cost(&in_family(what, family)));
    let ([Some(v4), Some(v6)], [Some(noted_v4), Some(noted_v6)]) = (of(UNSERVED), of(DETECTED)) else {
        return Ok(());
    };
    let more =
        [(noted_v4, v4), (noted_v6, v6)].map(|(noted, cost)| noted.above_floor_ns - cost.above_floor_ns);
    let is_met = if more.iter().all(|more| *more <= MOST_OF_SCANS) { "met" } else { "missed" };
    writeln!(out, "\n| an unserved SYN with SCAN_DETECTION | IPv4 | IPv6 | target |\n|---|---|---|---|")?;
    writeln!(
        out,
        "| ns above the same without | {:+.1} | {:+.1} | {MOST_OF_SCANS}: {is_met} |",
        more[0], more[1]
    )?;
    writeln!(out, "| ratio | {} | {} | |", ratio(noted_v4, v4), ratio(noted_v6, v6))
}

/// Formats the ratio of two costs.
fn ratio(own: &Cost, peer: &Cost) -> String {
    format!("{:.2}", own.above_floor_ns / peer.above_floor_ns)
}

fn verdict(cost: &Cost, most: f64) -> String {
    let is_met = if cost.above_floor_ns <= most { "met" } else { "missed" };
    format!("{most}: {is_met}")
}

/// Formats the median and the interquartile range.
fn spread(cost: &Cost) -> String {
    let [low, high] = cost.quartiles_ns;
    format!("{:+.1} ({low:.1} to {high:.1})", cost.above_floor_ns)
}

fn curves(out: &mut Formatter<'_>, title: &str, curves: &[Curve]) -> fmt::Result {
    let mut counts: Vec<u32> =
        curves.iter().flat_map(|curve| &curve.points).map(|(count, _)| *count).collect();
    counts.sort_unstable();
    counts.dedup();
    let cells = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let heads = counts.iter().map(u32::to_string);
    writeln!(out, "\n{}", cells([title.to_owned()].into_iter().chain(heads).collect()))?;
    writeln!(out, "|{}", "---|".repeat(counts.len() + 1))?;
    for curve in curves {
        let cost = |count: &u32| {
            let point = curve.points.iter().find(|(other, _)| other == count);
            point.map(|(_, cost)| format!("{:+.1}", cost.above_floor_ns)).unwrap_or_default()
        };
        writeln!(
            out,
            "{}",
            cells([curve.name.clone()].into_iter().chain(counts.iter().map(cost)).collect())
        )?;
    }
    Ok(())
}

/// Formats rates with names such as "drop: portsentry", each relative to the first of its group.
fn rates(out: &mut Formatter<'_>, title: &str, rates: &[Rate]) -> fmt::Result {
    if rates.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| {title} | median | best | ratio to the first |\n|---|---|---|---|")?;
    for rate in rates {
        let kind = |rate: &Rate| rate.name.split(": ").next().map(str::to_owned);
        let first = rates.iter().find(|other| kind(other) == kind(rate)).unwrap_or(rate);
        let ratio = rate.packets_per_second / first.packets_per_second;
        writeln!(out, "| {} | {:.0} | {:.0} | {ratio:.2} |", rate.name, rate.packets_per_second, rate.best)?;
    }
    Ok(())
}

/// Formats honest traffic during a flood, as a share of the traffic during the same flood without portsentry.
fn beside(out: &mut Formatter<'_>, rates: &[Rate]) -> fmt::Result {
    /// Minimum share of honest traffic.
    const TARGET: f64 = 0.9;
    if rates.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| Honest traffic, a second | returning at once | portsentry | ratio | target |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for pair in rates.chunks_exact(2) {
        let [without, with] = [0, 1].map(|number| pair[number].packets_per_second);
        let (what, _) = pair[0].name.split_once(": ").unwrap_or((&pair[0].name, ""));
        let is_met = if with >= TARGET * without { "met" } else { "missed" };
        writeln!(out, "| {what} | {without:.0} | {with:.0} | {:.2} | {TARGET}: {is_met} |", with / without)?;
    }
    Ok(())
}

fn scale(out: &mut Formatter<'_>, spans: &[Span]) -> fmt::Result {
    if spans.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| many sources | seconds | longest | target |\n|---|---|---|---|")?;
    for Span { name, seconds, most } in spans {
        let is_met = if *seconds <= TARGET { "met" } else { "missed" };
        writeln!(out, "| {name} | {seconds:.2} | {most:.2} | {TARGET}: {is_met} |")?;
    }
    Ok(())
}

fn visits(out: &mut Formatter<'_>, loads: &[Load]) -> fmt::Result {
    let (most, rate) = (visits::TARGET, visits::RATE);
    if loads.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| {rate} visits to traps a second | done | the daemon's CPU time, share of a core | target |"
    )?;
    writeln!(out, "|---|---|---|---|")?;
    for Load { name, rate, cores } in loads {
        let [median, least, greatest] = cores.map(|cores| cores * 100.0);
        let is_met = if cores[0] < most { "met" } else { "missed" };
        writeln!(
            out,
            "| {name} | {rate:.0} | {median:.1} % ({least:.1} to {greatest:.1}) | {:.0} %: {is_met} |",
            most * 100.0
        )?;
    }
    Ok(())
}

fn classic(out: &mut Formatter<'_>, daemons: &[Classic]) -> fmt::Result {
    if daemons.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| | {} |", daemons.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join(" | "))?;
    writeln!(out, "|---|{}", "---|".repeat(daemons.len()))?;
    let mut row = |what: &str, cell: &dyn Fn(&Classic) -> String| {
        writeln!(out, "| {what} | {} |", daemons.iter().map(cell).collect::<Vec<_>>().join(" | "))
    };
    row("SYNs sent to watched ports in the flood", &|daemon| daemon.flood_sent.to_string())?;
    row("the daemon's CPU time, share of a core", &|daemon| format!("{:.0} %", daemon.flood_cpu * 100.0))?;
    row("the daemon's memory after it, MiB", &|daemon| daemon.memory_mib.to_string())?;
    row("services that a fast scan found, of six", &|daemon| {
        let [median, fewest, most] = daemon.leaked;
        format!("{median} ({fewest} to {most})")
    })
}
