//! A table of packets, judged by the kernel program, by the same rules in userspace, and by an independent oracle.

use portsentry_tests::{
    kernel::InKernel,
    model::Model,
    namespace::with_sockets,
    oracle::Oracle,
    outcome::Judge,
    table::{Chapter, Story, chapters},
    test_host,
};

/// Returns the differences from the table, as text.
fn differences(chapter: &Chapter, judge: &mut impl Judge) -> Vec<String> {
    let mut differences = Vec::new();
    for (seat, story) in chapter.seated() {
        for (step, (packet, expected)) in (1..).zip(&story.steps) {
            let (expected, found) = (expected.of(packet, seat), judge.judge(&packet.frame(seat)));
            if expected != found {
                differences.push(format!(
                    "{}: {} (packet {step})\nexpected {expected:?}\n   found {found:?}",
                    chapter.what, story.what
                ));
            }
        }
    }
    differences
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn the_table_holds_in_userspace() {
    let chapters = chapters();
    let judged = chapters.iter().map(|chapter| differences(chapter, &mut Model::new(&chapter.scenario)));
    assert_none(&judged.collect::<Vec<_>>().concat());
}

/// The oracle has neither rates nor table sizes.
#[test]
fn the_table_holds_for_the_oracle() {
    let chapters = chapters()
        .into_iter()
        .filter(|Chapter { scenario, .. }| scenario.settings.event_rate > 0 && scenario.max_blocked > 1);
    let judged: Vec<_> =
        chapters.map(|chapter| differences(&chapter, &mut Oracle::new(&chapter.scenario))).collect();
    assert!(judged.len() > 10, "most chapters are held to it: {}", judged.len());
    assert_none(&judged.concat());
}

/// Whether the kernel can open a connection on the program's own answer (Linux 6.9). Elsewhere the daemon has SYNs to
/// services forwarded, which has a chapter of its own.
fn accepts() -> bool {
    const FUNCTION: &[u8] = b"bpf_sk_assign_tcp_reqsk";
    let types = std::fs::read("/sys/kernel/btf/vmlinux").expect("the kernel's types");
    types.windows(FUNCTION.len()).any(|name| name == FUNCTION)
}

#[test]
fn the_table_holds_in_the_kernel() {
    let mut all = Vec::new();
    let accepts = accepts();
    for chapter in chapters().into_iter().filter(|chapter| accepts || !chapter.scenario.settings.accepts()) {
        // Each chapter gets new sockets. A socket in TIME-WAIT lasts a minute, which is too short for all chapters
        // on a slow machine.
        all.extend(with_sockets(&test_host::sockets(), || differences_in_the_kernel(&chapter)));
    }
    assert_none(&all);
}

fn differences_in_the_kernel(chapter: &Chapter) -> Vec<String> {
    let (mut kernel, mut model) = (InKernel::new(&chapter.scenario), Model::new(&chapter.scenario));
    let mut all = differences(chapter, &mut kernel);
    differences(chapter, &mut model);
    let (in_kernel, in_model) = (kernel.blocked(), model.blocked());
    if in_kernel != in_model {
        all.push(format!("blocked by {}\nkernel {in_kernel:?}\n model {in_model:?}", chapter.what));
    }
    all
}

/// Returns the packets of a story without Ethernet headers, if that doesn't change them and they are long enough
/// for the kernel's test run.
fn bare(story: &Story, seat: u8) -> Option<Vec<Vec<u8>>> {
    const ETHERNET: usize = 14;
    let frames = story.steps.iter().map(|(packet, _)| {
        let frame = packet.frame(seat);
        let is_announced = match frame[12..14] {
            [0x08, 0] => frame.get(ETHERNET).is_some_and(|first| first >> 4 == 4),
            [0x86, 0xdd] => frame.get(ETHERNET).is_some_and(|first| first >> 4 == 6),
            _ => false,
        };
        (is_announced && frame.len() >= 2 * ETHERNET).then(|| frame[ETHERNET..].to_vec())
    });
    frames.collect()
}

/// The rules are the same for frames that begin with their IP header.
#[test]
fn the_table_holds_without_a_link_layer() {
    let mut all = Vec::new();
    let mut stories = 0;
    for chapter in chapters() {
        with_sockets(&test_host::sockets(), || {
            let (mut kernel, mut model) = (InKernel::new(&chapter.scenario), Model::new(&chapter.scenario));
            for (seat, story) in chapter.seated() {
                let Some(packets) = bare(story, seat) else { continue };
                stories += 1;
                for ((packet, (described, expected)), step) in packets.iter().zip(&story.steps).zip(1..) {
                    let expected = expected.of(described, seat);
                    let found = [kernel.judge_bare(packet), model.judge_bare(packet)];
                    if found.iter().any(|found| *found != expected) {
                        all.push(format!(
                            "{}: {} (packet {step})\nexpected {expected:?}\n   found {found:?}",
                            chapter.what, story.what
                        ));
                    }
                }
            }
        });
    }
    assert!(stories > 100, "most stories are told of IP packets: {stories}");
    assert_none(&all);
}

#[test]
fn a_sentence_is_told_once() {
    for chapter in chapters() {
        let mut sentences: Vec<_> = chapter.stories.iter().map(|story| story.what).collect();
        sentences.sort_unstable();
        let all = sentences.len();
        sentences.dedup();
        assert_eq!(sentences.len(), all, "two stories of \"{}\" have the same name", chapter.what);
    }
}
