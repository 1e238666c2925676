//! A fake of KurrentDB: its protocol, in this process, on loopback, over an order of events in memory. It keeps the promises that the
//! adapter rests on, as the documentation and the source of the real one have them, and can be made to break in its ways. That the
//! real one keeps them is shown by the contract with `GATEBOOK_TEST_KURRENTDB` only.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};

use super::generated::event_store::client::gossip::gossip_server::{Gossip, GossipServer};
use super::generated::event_store::client::gossip::{ClusterInfo, EndPoint, MemberInfo, member_info::VNodeState};
use super::generated::event_store::client::streams::streams_server::{Streams, StreamsServer};
use super::generated::event_store::client::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq, ReadResp, TombstoneReq, TombstoneResp,
    append_req, append_resp, read_req, read_resp,
};
use super::generated::event_store::client::{Empty, StreamIdentifier, Uuid, uuid};

/// A cluster: nodes that show the same events, one of which leads.
pub struct Fake {
    shared: Arc<Shared>,
    nodes: Vec<Option<Running>>,
    tls: Option<ServerTlsConfig>,
}

/// A node in a thread of its own: when it ends, so do its connections.
struct Running {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Shared {
    db: Mutex<Db>,
    ports: Vec<u16>,
    /// Appends whose answers are lost from now on.
    lose: Mutex<usize>,
    /// Whether nobody is answered.
    mute: Mutex<bool>,
    unmuted: Notify,
    /// How long it takes to pass an event that a read does not ask for.
    skip: Mutex<Duration>,
}

#[derive(Default)]
struct Db {
    all: Vec<Record>,
    streams: HashMap<Vec<u8>, Vec<usize>>,
    position: u64,
    leader: usize,
    appends: u64,
}

#[derive(Clone)]
struct Record {
    stream: Vec<u8>,
    revision: u64,
    id: String,
    metadata: HashMap<String, String>,
    custom_metadata: Vec<u8>,
    data: Vec<u8>,
    place: (u64, u64),
}

impl Fake {
    /// As many nodes; the first one leads.
    pub fn start(nodes: usize) -> Self {
        Self::start_with(nodes, None)
    }

    /// The same with TLS.
    pub fn start_with(nodes: usize, tls: Option<ServerTlsConfig>) -> Self {
        let listeners: Vec<_> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let shared = Shared {
            db: Mutex::default(),
            ports,
            lose: Mutex::new(0),
            mute: Mutex::new(false),
            unmuted: Notify::new(),
            skip: Mutex::default(),
        };
        let mut fake = Self { shared: Arc::new(shared), nodes: Vec::new(), tls };
        for (number, listener) in listeners.into_iter().enumerate() {
            let running = fake.serve(number, listener);
            fake.nodes.push(Some(running));
        }
        fake
    }

    fn serve(&self, number: usize, listener: TcpListener) -> Running {
        let node = Node { number, shared: self.shared.clone() };
        let mut server = Server::builder();
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.clone()).unwrap();
        }
        let router = server.add_service(StreamsServer::new(node.clone())).add_service(GossipServer::new(node));
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
                // As the real one: an answer does not wait for whether there is more to send.
                let incoming = incoming.inspect(|stream| stream.as_ref().unwrap().set_nodelay(true).unwrap());
                tokio::select! {
                    ended = router.serve_with_incoming(incoming) => ended.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Running { end, thread }
    }

    /// The connection string of a log in here.
    pub fn uri(&self, scheme: &str, name: &str) -> String {
        let hosts: Vec<_> = self.shared.ports.iter().map(|port| format!("localhost:{port}")).collect();
        let tls = self.tls.is_some();
        format!("{scheme}://{}?tls={tls}&discoveryInterval=20&gossipTimeout=500&name={name}", hosts.join(","))
    }

    /// Another node leads from now on.
    pub fn elect(&self, leader: usize) {
        self.db().leader = leader;
    }

    /// The next appends land, and nobody hears of it.
    pub fn lose_answers(&self, number: usize) {
        *self.shared.lose.lock().unwrap() = number;
    }

    /// Nobody is answered until this is taken back.
    pub fn mute(&self, mute: bool) {
        *self.shared.mute.lock().unwrap() = mute;
        self.shared.unmuted.notify_waiters();
    }

    /// From now on a read takes so long for each event in `$all` that it passes without showing it.
    pub fn take_time(&self, skip: Duration) {
        *self.shared.skip.lock().unwrap() = skip;
    }

    /// A node goes away, with its connections.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].take().unwrap().end();
    }

    /// It comes back.
    pub fn run(&mut self, number: usize) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], self.shared.ports[number]))).unwrap();
        self.nodes[number] = Some(self.serve(number, listener));
    }

    /// Somebody else writes into a stream.
    pub fn scribble(&self, stream: &str, data: &str) {
        let metadata = HashMap::from([("type".to_owned(), "scribble".to_owned())]);
        let id = ::uuid::Uuid::new_v4().to_string();
        self.db().add(stream.as_bytes(), vec![(id, metadata, Vec::new(), data.into())]);
    }

    /// How many events of a stream a reader is shown.
    pub fn kept(&self, stream: &str) -> usize {
        self.db().kept(stream.as_bytes()).map_or(0, <[usize]>::len)
    }

    /// How many appends landed.
    pub fn appends(&self) -> u64 {
        self.db().appends
    }

    fn db(&self) -> MutexGuard<'_, Db> {
        self.shared.db.lock().unwrap()
    }
}

impl Running {
    fn end(self) {
        let _gone = self.end.send(());
        self.thread.join().unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.nodes.drain(..).flatten().for_each(Running::end);
    }
}

type Proposed = (String, HashMap<String, String>, Vec<u8>, Vec<u8>);

impl Db {
    /// Positions grow by as much as is written. Of a commit of several events every third has one commit position, as older servers
    /// write them, and the others one for each event.
    fn add(&mut self, stream: &[u8], events: Vec<Proposed>) -> (u64, (u64, u64)) {
        self.appends += 1;
        let together = self.appends.is_multiple_of(3) && events.len() > 1;
        let first = self.all.len();
        for (id, mut metadata, custom_metadata, data) in events {
            self.position += 64 + data.len() as u64 + custom_metadata.len() as u64;
            metadata.insert("created".to_owned(), "17000000000000000".to_owned());
            let known = self.streams.entry(stream.to_vec()).or_default();
            let (revision, place) = (known.len() as u64, (self.position, self.position));
            known.push(self.all.len());
            self.all.push(Record { stream: stream.to_vec(), revision, id, metadata, custom_metadata, data, place });
        }
        if together {
            self.position += 32;
            let commit = self.position;
            self.all[first..].iter_mut().for_each(|record| record.place.0 = commit);
        }
        let last = self.all.last().unwrap();
        let answer = (last.revision, last.place);
        if self.appends.is_multiple_of(5) {
            // The server writes to itself, too.
            self.position += 200;
            let place = (self.position, self.position);
            let known = self.streams.entry(b"$stats-0.0.0.0:2113".to_vec()).or_default();
            let revision = known.len() as u64;
            known.push(self.all.len());
            let metadata = HashMap::from([("type".to_owned(), "$statsCollected".to_owned())]);
            let stream = b"$stats-0.0.0.0:2113".to_vec();
            let (id, data) = (::uuid::Uuid::new_v4().to_string(), b"{}".to_vec());
            self.all.push(Record { stream, revision, id, metadata, custom_metadata: Vec::new(), data, place });
        }
        answer
    }

    /// What a reader of a stream is shown: no more of it than its metadata (`$maxCount`) says. `$all` has the rest for as long as nobody
    /// scavenges. None where nobody wrote.
    fn kept(&self, stream: &[u8]) -> Option<&[usize]> {
        let known = self.streams.get(stream)?;
        let metadata = self.streams.get(&[b"$$", stream].concat()).and_then(|written| written.last());
        let said: Option<serde_json::Value> = metadata.and_then(|index| serde_json::from_slice(&self.all[*index].data).ok());
        let most = said.and_then(|said| said["$maxCount"].as_u64()).map_or(usize::MAX, |most| usize::try_from(most).unwrap());
        Some(&known[known.len().saturating_sub(most)..])
    }

    /// Idempotent by the events' ids, behind the revision that the writer names.
    fn append(&mut self, stream: &[u8], expected: Option<u64>, events: Vec<Proposed>) -> Result<(u64, (u64, u64)), Option<u64>> {
        let known = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let current = (known.len() as u64).checked_sub(1);
        if current == expected {
            return Ok(self.add(stream, events));
        }
        let next = expected.map_or(0, |revision| revision + 1);
        let stands: Vec<_> = known.iter().skip(usize::try_from(next).unwrap()).take(events.len()).map(|index| &self.all[*index]).collect();
        let same = stands.len() == events.len() && stands.iter().zip(&events).all(|(record, event)| record.id == event.0);
        if same { Ok(stands.last().map(|last| (last.revision, last.place)).unwrap()) } else { Err(current) }
    }
}

#[derive(Clone)]
struct Node {
    number: usize,
    shared: Arc<Shared>,
}

impl Node {
    /// Answers only when nobody said not to.
    async fn speak(&self) {
        loop {
            let unmuted = self.shared.unmuted.notified();
            if !*self.shared.mute.lock().unwrap() {
                return;
            }
            unmuted.await;
        }
    }

    #[expect(clippy::result_large_err, reason = "tonic answers with it")]
    fn must_lead(&self, asked: &MetadataMap) -> Result<(), Status> {
        let leader = self.shared.db.lock().unwrap().leader;
        if leader == self.number || asked.get("requires-leader").is_none_or(|value| value != "true") {
            return Ok(());
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("exception", "not-leader".parse().unwrap());
        metadata.insert("leader-endpoint-host", "localhost".parse().unwrap());
        metadata.insert("leader-endpoint-port", self.shared.ports[leader].to_string().parse().unwrap());
        Err(Status::with_metadata(Code::NotFound, "Leader info available", metadata))
    }
}

#[async_trait]
impl Gossip for Node {
    async fn read(&self, _: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        self.speak().await;
        let leader = self.shared.db.lock().unwrap().leader;
        let member = |(number, port): (usize, &u16)| MemberInfo {
            instance_id: None,
            time_stamp: 0,
            state: if number == leader { VNodeState::Leader } else { VNodeState::Follower }.into(),
            is_alive: true,
            http_end_point: Some(EndPoint { address: "localhost".to_owned(), port: (*port).into() }),
        };
        Ok(Response::new(ClusterInfo { members: self.shared.ports.iter().enumerate().map(member).collect() }))
    }
}

#[async_trait]
impl Streams for Node {
    type ReadStream = BoxStream<'static, Result<ReadResp, Status>>;
    type BatchAppendStream = BoxStream<'static, Result<BatchAppendResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        use read_req::options::stream_options::RevisionOption;
        use read_req::options::{CountOption, FilterOption, ReadDirection, StreamOption, all_options::AllOption, filter_options::Filter};
        self.speak().await;
        self.must_lead(request.metadata())?;
        let options = request.into_inner().options.unwrap();
        let Some(CountOption::Count(count)) = options.count_option else { return Err(Status::unimplemented("subscriptions")) };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let direction = options.read_direction();
        let prefixes: Option<Vec<Vec<u8>>> = match &options.filter_option {
            Some(FilterOption::Filter(filter)) => match filter.filter.as_ref().unwrap() {
                Filter::StreamIdentifier(by) => Some(by.prefix.iter().map(|prefix| prefix.clone().into_bytes()).collect()),
                Filter::EventType(_) => return Err(Status::unimplemented("filters by type")),
            },
            _ => None,
        };
        let wanted = |record: &Record| prefixes.as_ref().is_none_or(|all| all.iter().any(|prefix| record.stream.starts_with(prefix)));
        let skip = *self.shared.skip.lock().unwrap();
        let (found, trailing) = {
            let db = self.shared.db.lock().unwrap();
            match options.stream_option.unwrap() {
                StreamOption::Stream(asked) => {
                    let name = asked.stream_identifier.unwrap().stream_name;
                    let Some(known) = db.kept(&name) else {
                        let missing = read_resp::StreamNotFound { stream_identifier: Some(StreamIdentifier { stream_name: name }) };
                        return Ok(answer(vec![read_resp::Content::StreamNotFound(missing)]));
                    };
                    let known = known.iter().map(|index| &db.all[*index]);
                    match (asked.revision_option, direction) {
                        (Some(RevisionOption::Start(_)), ReadDirection::Forwards) => search(known, |_| true, count),
                        (Some(RevisionOption::End(_)), ReadDirection::Backwards) => search(known.rev(), |_| true, count),
                        _ => return Err(Status::unimplemented("reads from within a stream")),
                    }
                }
                StreamOption::All(asked) => match asked.all_option.unwrap() {
                    AllOption::End(_) => search(db.all.iter().rev(), wanted, count),
                    from => {
                        let least = match from {
                            AllOption::Position(place) => (place.commit_position, place.prepare_position),
                            _ => (0, 0),
                        };
                        search(db.all.iter().filter(|record| record.place >= least), wanted, count)
                    }
                },
            }
        };
        // As the real one: nothing at all is said, not even that it was heard, before there is something to show.
        let (first, last) = found.first().map_or((trailing, Duration::ZERO), |(passed, _)| (*passed, skip * trailing));
        tokio::time::sleep(skip * first).await;
        let shown = stream::iter(found.into_iter().enumerate()).then(move |(number, (passed, record))| async move {
            if number > 0 && passed > 0 {
                tokio::time::sleep(skip * passed).await;
            }
            Some(Ok(ReadResp { content: Some(read_resp::Content::Event(event(record))) }))
        });
        let rest = stream::once(tokio::time::sleep(last)).map(|()| None);
        Ok(Response::new(shown.chain(rest).filter_map(ready).boxed()))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        use append_req::{Content, options::ExpectedStreamRevision};
        use append_resp::success::{CurrentRevisionOption, PositionOption};
        use append_resp::wrong_expected_version as wrong;
        self.speak().await;
        self.must_lead(request.metadata())?;
        let mut messages = request.into_inner();
        let (mut options, mut events, mut ids) = (None, Vec::new(), HashSet::new());
        while let Some(message) = messages.message().await? {
            match message.content.unwrap() {
                Content::Options(given) => options = Some(given),
                Content::ProposedMessage(event) => {
                    let id = match event.id.unwrap().value.unwrap() {
                        uuid::Value::String(id) => id,
                        uuid::Value::Structured(halves) => {
                            let (high, low) = (halves.most_significant_bits, halves.least_significant_bits);
                            ::uuid::Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned()).to_string()
                        }
                    };
                    ids.insert(id.clone());
                    events.push((id, event.metadata, event.custom_metadata, event.data));
                }
            }
        }
        let size: usize = events.iter().map(|(_, _, custom, data): &Proposed| custom.len() + data.len()).sum();
        if size > 16 << 20 {
            return Err(Status::invalid_argument("Maximum Append Size Exceeded."));
        }
        let options = options.unwrap();
        let expected = match options.expected_stream_revision.unwrap() {
            ExpectedStreamRevision::Revision(revision) => Some(revision),
            ExpectedStreamRevision::NoStream(_) => None,
            _ => return Err(Status::unimplemented("any revision")),
        };
        let outcome = self.shared.db.lock().unwrap().append(&options.stream_identifier.unwrap().stream_name, expected, events);
        {
            let mut lose = self.shared.lose.lock().unwrap();
            if *lose > 0 {
                *lose -= 1;
                return Err(Status::unavailable("the answer is lost"));
            }
        }
        let result = match outcome {
            Ok((revision, (commit_position, prepare_position))) => append_resp::Result::Success(append_resp::Success {
                current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
                position_option: Some(PositionOption::Position(append_resp::Position { commit_position, prepare_position })),
            }),
            Err(current) => append_resp::Result::WrongExpectedVersion(append_resp::WrongExpectedVersion {
                current_revision_option: Some(
                    current.map_or(wrong::CurrentRevisionOption::CurrentNoStream(Empty {}), wrong::CurrentRevisionOption::CurrentRevision),
                ),
                expected_revision_option: Some(
                    expected
                        .map_or(wrong::ExpectedRevisionOption::ExpectedNoStream(Empty {}), wrong::ExpectedRevisionOption::ExpectedRevision),
                ),
                ..append_resp::WrongExpectedVersion::default()
            }),
        };
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn delete(&self, _: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        Err(Status::unimplemented("nothing is ever deleted"))
    }

    async fn tombstone(&self, _: Request<TombstoneReq>) -> Result<Response<TombstoneResp>, Status> {
        Err(Status::unimplemented("nothing is ever deleted"))
    }

    async fn batch_append(&self, _: Request<Streaming<BatchAppendReq>>) -> Result<Response<Self::BatchAppendStream>, Status> {
        Err(Status::unimplemented("batches"))
    }
}

/// So many events that are wanted, each with how many were passed before it, and how many were passed behind the last one.
fn search<'a>(records: impl Iterator<Item = &'a Record>, wanted: impl Fn(&Record) -> bool, most: usize) -> (Vec<(u32, Record)>, u32) {
    let (mut found, mut passed) = (Vec::new(), 0);
    for record in records {
        if found.len() == most {
            return (found, 0);
        }
        if wanted(record) {
            found.push((passed, record.clone()));
            passed = 0;
        } else {
            passed += 1;
        }
    }
    (found, passed)
}

#[expect(clippy::result_large_err, reason = "tonic answers with it")]
fn answer(contents: Vec<read_resp::Content>) -> Response<BoxStream<'static, Result<ReadResp, Status>>> {
    Response::new(stream::iter(contents.into_iter().map(|content| Ok(ReadResp { content: Some(content) }))).boxed())
}

fn event(record: Record) -> read_resp::ReadEvent {
    let (commit_position, prepare_position) = record.place;
    let recorded = read_resp::read_event::RecordedEvent {
        id: Some(Uuid { value: Some(uuid::Value::String(record.id)) }),
        stream_identifier: Some(StreamIdentifier { stream_name: record.stream }),
        stream_revision: record.revision,
        prepare_position,
        commit_position,
        metadata: record.metadata,
        custom_metadata: record.custom_metadata,
        data: record.data,
    };
    read_resp::ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(read_resp::read_event::Position::CommitPosition(commit_position)),
    }
}
