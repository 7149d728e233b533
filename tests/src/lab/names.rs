//! A name server on the host with answers chosen by the test.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    thread,
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};

use super::{Lab, Namespace};

/// The records that a name server returns.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pointers: BTreeMap<Name, Name>,
    addresses: BTreeMap<Name, IpAddr>,
    silent: Vec<Name>,
}

impl Names {
    /// Gives `address` the name made of `labels`, which may hold any octets.
    #[must_use]
    pub fn with(mut self, address: IpAddr, labels: &[&[u8]]) -> Self {
        let name = Name::from_labels(labels.iter().copied()).expect("labels of up to 63 octets");
        self.pointers.insert(Name::from(address), name);
        self
    }

    /// Gives the name made of `labels` the address `address`.
    #[must_use]
    pub fn leading_to(mut self, labels: &[&[u8]], address: IpAddr) -> Self {
        let name = Name::from_labels(labels.iter().copied()).expect("labels of up to 63 octets");
        self.addresses.insert(name, address);
        self
    }

    /// Leaves questions about `address` unanswered.
    #[must_use]
    pub fn silent_about(mut self, address: IpAddr) -> Self {
        self.silent.push(Name::from(address));
        self
    }

    /// Answers on port 53 of the host until the test ends.
    pub fn serve(self, lab: &Lab) {
        let socket = bind(&lab.host);
        thread::spawn(move || {
            let mut octets = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut octets) {
                let answer = Message::from_vec(&octets[..length]).ok().and_then(|asked| self.answer(&asked));
                if let Some(answer) = answer.and_then(|answer| answer.to_vec().ok()) {
                    // The client may have gone.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
    }

    fn answer(&self, asked: &Message) -> Option<Message> {
        let query = asked.queries.first()?.clone();
        let mut answer = Message::response(asked.metadata.id, OpCode::Query);
        if self.silent.contains(query.name()) {
            return None;
        }
        let found = match query.query_type() {
            RecordType::PTR => self.pointers.get(query.name()).map(|name| RData::PTR(PTR(name.clone()))),
            RecordType::A => self.addresses.get(query.name()).and_then(|address| match address {
                IpAddr::V4(address) => Some(RData::A(A(*address))),
                IpAddr::V6(_) => None,
            }),
            RecordType::AAAA => self.addresses.get(query.name()).and_then(|address| match address {
                IpAddr::V6(address) => Some(RData::AAAA(AAAA(*address))),
                IpAddr::V4(_) => None,
            }),
            _ => None,
        };
        match found {
            Some(data) => {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        answer.add_query(query);
        Some(answer)
    }
}

fn bind(namespace: &Namespace) -> UdpSocket {
    namespace.enter(|| UdpSocket::bind("127.0.0.1:53")).expect("the name server's port")
}
