//! Lines on the control socket, from either side: writing and reading again preserves them, and only root may make
//! changes.

use portsentry::control::{LONGEST, Peer, Request, answer, line};

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    match Request::read(data) {
        Ok(request) => {
            let written = request.line();
            assert_eq!(written.find('\n'), Some(written.len() - 1), "one line");
            assert_eq!(Request::read(written.as_bytes()), Ok(request));
        }
        Err(refusal) => assert_eq!(answer(line(&Err(refusal.clone())).as_bytes()), Err(refusal)),
    }
    assert!(matches!(Request::admit(data, Peer::Other), Ok(Request::Status { .. }) | Err(_)));
    if let Ok(request) = Request::admit(data, Peer::Member) {
        assert!(!changes(&request), "{request:?}");
    }
    for peer in [Peer::Other, Peer::Member, Peer::Root] {
        let padded = [data, &b" ".repeat(LONGEST)].concat();
        assert!(padded.len() == LONGEST || Request::admit(&padded, peer).is_err());
    }
    let written = line(&answer(data));
    assert_eq!(written.find('\n'), Some(written.len() - 1), "one line");
    assert_eq!(answer(written.as_bytes()).is_ok(), answer(data).is_ok_and(|done| !done.is_null()));
}

fn changes(request: &Request) -> bool {
    use Request::{Block, Reload, Summary, Unblock};
    matches!(request, Block { .. } | Unblock { .. } | Reload {} | Summary {})
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "{\"v\":1,\"do\":\"status\"}\n",
        "{\"v\":1,\"do\":\"block\",\"addresses\":[\"192.0.2.9\",\"2001:db8::9\"],\"seconds\":60,\"reason\":\"a \\u001b\\n\"}\n",
        "{\"v\":1,\"do\":\"unblock\",\"addresses\":[]}\n",
        "{\"v\":1,\"do\":\"reload\"}\n",
        "{\"v\":1,\"do\":\"list\",\"network\":\"192.0.2.0/24\",\"sort\":\"hits\",\"limit\":9}\n",
        "{\"v\":1,\"do\":\"history\",\"since\":\"2026-11-23T09:30:12Z\",\"action\":\"lifted\"}\n",
        "{\"v\":1,\"do\":\"why\",\"address\":\"192.0.2.9\"}\n",
        "{\"v\":1,\"do\":\"status\",\"report\":true}\n",
        "{\"v\":2,\"do\":\"summary\"}\n",
        "{\"v\":1,\"ok\":{\"changed\":[]}}\n",
        "{\"v\":1,\"error\":{\"code\":\"refused\",\"message\":\"no\",\"details\":[\"a\\nb\"]}}\n",
    ])
}
