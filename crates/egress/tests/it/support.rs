//! A proxy, something behind it, and programs that speak to it byte by byte.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use armor_core::network::{DomainName, NetworkPolicy, Verdict, rules};
use armor_egress::{Ledger, Proxy, Resolve, SystemResolver};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// Answers names from a list, each answer once; and keeps what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &DomainName) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_string());
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A proxy that runs.
pub(crate) struct Place {
    pub(crate) policy: watch::Sender<NetworkPolicy>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) names: Arc<Names>,
    pub(crate) serving: JoinHandle<()>,
    /// Told when it is to end.
    pub(crate) end: Arc<Notify>,
    pub(crate) address: SocketAddr,
}

impl Place {
    pub(crate) fn new(allow: &[&str]) -> Self {
        let names = Arc::new(Names::default());
        Self::make(allow, names.clone(), names)
    }

    /// One that looks names up as this machine does.
    pub(crate) fn with_real_names(allow: &[&str]) -> Self {
        Self::make(allow, Arc::default(), Arc::new(SystemResolver::default()))
    }

    fn make(allow: &[&str], names: Arc<Names>, resolver: Arc<dyn Resolve>) -> Self {
        let mut policy = NetworkPolicy::default();
        for rule in allow.iter().flat_map(|text| rules(text).unwrap()) {
            policy.set(rule, Verdict::Allow);
        }
        let (policy, receiver) = watch::channel(policy);
        let ledger = Arc::new(Ledger::default());
        let proxy = Proxy::new(receiver, ledger.clone(), resolver);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let end = Arc::new(Notify::new());
        let told = end.clone();
        let serving =
            tokio::spawn(async move { proxy.serve(listener, told.notified()).await.unwrap() });
        Self { policy, ledger, names, serving, end, address }
    }

    /// Answers the next name that is looked up.
    pub(crate) fn answer(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.answers.lock().unwrap().push_back(addresses);
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes, and takes the answer.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = until(&mut stream, "\r\n\r\n").await;
        let length = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        timeout(LIMIT, stream.read_exact(&mut body)).await.unwrap().unwrap();
        answer.push_str(&String::from_utf8(body).unwrap());
        answer
    }
}

/// All that still comes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // Whoever is cut off sees an error, or an end.
    let _ended = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes, up to and with this.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(LIMIT, stream.read_u8()).await.unwrap();
        bytes.push(byte.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&bytes))));
    }
    String::from_utf8(bytes).unwrap()
}

/// A server on this machine that answers each connection with what came until `end`, and then `reply`.
pub(crate) async fn server(
    end: &'static str,
    reply: &'static str,
) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = tokio::spawn(async move {
        let mut all = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let mut bytes = Vec::new();
            while !bytes.ends_with(end.as_bytes()) {
                match stream.read_u8().await {
                    Ok(byte) => bytes.push(byte),
                    Err(_) => return all,
                }
            }
            all.push(String::from_utf8(bytes).unwrap());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    (port, came)
}
