//! The runner itself: one thread that waits for hosts, supervisors, output, children and time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use armor_output::Written;
use armor_runner_protocol::{Answer, Cause, Request, Start};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{
    DumpableBehavior, WaitOptions, getpid, set_child_subreaper, set_dumpable_behavior, wait,
};

use crate::capture::{Capture, READ_BYTES};
use crate::connection::Connection;
use crate::execution::{Execution, Supervisor};
use crate::facts;
use crate::memory::MemoryKills;
use crate::processes;
use crate::source::Source;

/// Events that are taken at one time.
const EVENTS: usize = 64;
/// Connections that are accepted at one time.
const ACCEPTED: usize = 8;
/// How long killed processes are waited for before somebody looks again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long what a supervisor left may take to be gone before the end of the execution is told all
/// the same.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);
/// What is heard of. Of each at most one waits.
const SIGNALS: [Signal; 3] = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT];

/// How a signal came that a process sent by `kill`, as `siginfo_t` has it.
const SI_USER: i32 = 0;

struct Server {
    epoll: OwnedFd,
    listener: UnixListener,
    /// Where programs of the sandbox ask for a way out. Hosts accept there, we do not: what nobody
    /// has accepted waits, also while no host is there.
    egress: Option<TcpListener>,
    signals: SignalFd,
    /// `/dev/null`, which an image's storage takes its time to open.
    nothing: File,
    /// Let go of when there is no descriptor left, to have one.
    spare: Option<File>,
    connections: BTreeMap<u64, Connection>,
    executions: BTreeMap<u64, Execution>,
    memory_kills: MemoryKills,
    /// What output goes through.
    buffer: Vec<u8>,
    last: u64,
    /// When to look for what dead supervisors left.
    sweep: Option<Instant>,
    stopping: bool,
}

/// Listens at `socket` and serves hosts until the sandbox is stopped. At the port of the loopback,
/// programs ask for a way out.
pub(crate) fn run(socket: &Path, egress: Option<u16>) -> io::Result<()> {
    // Before anybody else runs in the sandbox.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_child_subreaper(Some(getpid()))?;
    let mut server = Server::open(socket, egress)?;
    while !(server.stopping && server.executions.is_empty()) {
        server.turn()?;
    }
    Ok(())
}

impl Server {
    fn open(socket: &Path, egress: Option<u16>) -> io::Result<Self> {
        let mut heard = SigSet::empty();
        for signal in SIGNALS {
            heard.add(signal);
        }
        heard.thread_block()?;
        let signals = SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Before a host can have a command started, which could be there first.
        let egress = egress.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let egress = egress.transpose()?;
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let nothing = File::open("/dev/null")?;
        let server = Self {
            epoll,
            listener,
            egress,
            signals,
            spare: Some(nothing.try_clone()?),
            nothing,
            connections: BTreeMap::new(),
            executions: BTreeMap::new(),
            memory_kills: MemoryKills::open(),
            buffer: vec![0; READ_BYTES],
            last: 0,
            sweep: None,
            stopping: false,
        };
        server.wait_for(Source::Listener, server.listener.as_fd())?;
        server.wait_for(Source::Signals, server.signals.as_fd())?;
        Ok(server)
    }

    fn wait_for(&self, source: Source, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let data = epoll::EventData::new_u64(source.token());
        Ok(epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)?)
    }

    const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        let timeout = self.time_left();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            match Source::of(event.data.u64()) {
                Some(Source::Listener) => self.accept(),
                Some(Source::Signals) => self.hear_signals()?,
                Some(Source::Connection(id)) => self.hear_host(id),
                Some(Source::Supervisor(id)) => self.hear_supervisor(id),
                Some(Source::Stream(id, stream)) => self.hear_stream(id, stream),
                None => {}
            }
        }
        self.end_what_is_due();
        self.sweep();
        self.tell_hosts();
        Ok(())
    }

    fn time_left(&self) -> Option<Timespec> {
        let executions = self.executions.values();
        let due = executions.flat_map(|execution| [execution.deadline, execution.patience]);
        let next = due.chain([self.sweep]).flatten().min()?;
        let left = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec::try_from(left).ok()
    }

    fn end_what_is_due(&mut self) {
        let now = Instant::now();
        for execution in self.executions.values_mut() {
            if execution.deadline.is_some_and(|deadline| deadline <= now) {
                execution.end(Cause::TimedOut);
            }
            if execution.patience.is_some_and(|patience| patience <= now) {
                execution.end_supervisor();
            }
        }
    }

    /// Kills what dead supervisors left: it has become ours. Then nothing is left of their
    /// executions.
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.sweep.is_none_or(|due| due > now) {
            return;
        }
        self.reap();
        // Looking takes a descriptor. Where nobody can look, something may be left.
        self.spare = None;
        let is_clean = self.kill_strays().unwrap_or(false);
        self.spare = self.nothing.try_clone().ok();
        self.sweep = (!is_clean).then_some(now + AGAIN);
        let over = self.executions.iter().filter(|(_, execution)| match execution.supervisor() {
            Supervisor::There(_) => false,
            Supervisor::Gone { since } => is_clean || now.duration_since(since) > SWEEP_LIMIT,
        });
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.conclude(id);
        }
    }

    /// Kills the children that are no supervisors. Says whether there was none.
    fn kill_strays(&self) -> io::Result<bool> {
        let strays = processes::children(getpid().as_raw_nonzero().get(), &self.supervisors())?;
        let killed = processes::kill_descendants(&strays);
        strays.iter().copied().for_each(processes::kill);
        killed.map(|()| strays.is_empty())
    }

    fn supervisors(&self) -> Vec<i32> {
        let executions = self.executions.values();
        let there = executions.filter_map(|execution| match execution.supervisor() {
            Supervisor::There(pid) => Some(pid),
            Supervisor::Gone { .. } => None,
        });
        there.collect()
    }

    /// Forgets an execution of which nothing is left.
    fn conclude(&mut self, id: u64) {
        self.settle(id, true);
        if let Some(mut execution) = self.executions.remove(&id)
            && let Some(capture) = &mut execution.capture
        {
            // Its end has been told.
            let _completed = capture.close();
            stop_waiting(&self.epoll, capture);
        }
    }

    /// Accepts whoever waits. Commands can connect, too, as often as they like: not all at once.
    fn accept(&mut self) {
        for _ in 0..ACCEPTED {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Where there is no descriptor left, whoever waits has to go, or would for ever.
                Err(_) => return self.turn_away(),
            };
            // Whoever is refused or gone already sees the connection end.
            let Ok(Some(connection)) = Connection::greet(stream) else { continue };
            let id = self.number();
            if self.wait_for(Source::Connection(id), connection.source()).is_ok() {
                self.connections.insert(id, connection);
            }
        }
    }

    fn turn_away(&mut self) {
        self.spare = None;
        drop(self.listener.accept());
        self.spare = self.nothing.try_clone().ok();
    }

    fn hear_signals(&mut self) -> io::Result<()> {
        for _ in 0..SIGNALS.len() {
            let Some(signal) = self.signals.read_signal()? else { break };
            let is_of_a_child = i32::try_from(signal.ssi_signo) == Ok(Signal::SIGCHLD as i32);
            // The kernel shows a sender outside the sandbox as number 0, and lets nobody inside make
            // up a signal with this code: so nobody inside stops it. It shows the same where it has
            // forgotten the sender, so the profile of system calls refuses signals that it may forget.
            let is_from_outside = signal.ssi_code == SI_USER && signal.ssi_pid == 0;
            if !is_of_a_child && is_from_outside {
                self.stopping = true;
                for execution in self.executions.values_mut() {
                    execution.end(Cause::Stopped);
                }
            }
        }
        self.reap();
        Ok(())
    }

    /// Takes the children that have ended: supervisors, and whatever lost its parent.
    fn reap(&mut self) {
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => (pid.as_raw_nonzero().get(), status),
                Err(rustix::io::Errno::INTR) => continue,
                Ok(None) | Err(_) => return,
            };
            let mut executions = self.executions.iter_mut();
            let of =
                executions.find(|(_, execution)| execution.supervisor() == Supervisor::There(pid));
            let Some((id, execution)) = of else { continue };
            execution.lose_supervisor();
            let id = *id;
            self.hear_supervisor(id);
            if status.exit_status() == Some(0) {
                // It stays until nothing is left of its command.
                self.conclude(id);
            } else {
                self.sweep = Some(Instant::now());
            }
        }
    }

    fn hear_host(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let there = connection.receive().unwrap_or(false) && connection.flush().is_ok();
        // Also what was asked for just before the host left.
        self.answer_requests(id);
        if !there {
            self.forget_host(id);
        }
    }

    /// Answers what the host has asked for, up to what it has to wait for.
    fn answer_requests(&mut self, id: u64) {
        while let Some(connection) = self.connections.get_mut(&id) {
            let answered = match connection.request() {
                Ok(Some(request)) => self.carry_out(id, request),
                Ok(None) => return,
                Err(error) => Err(io::Error::other(error)),
            };
            if answered.is_err() {
                self.forget_host(id);
            }
        }
    }

    fn carry_out(&mut self, host: u64, request: Request) -> io::Result<()> {
        let named = |server: &Self, name: &str| {
            let mut executions = server.executions.iter();
            executions.find(|(_, execution)| execution.name == name).map(|(id, _)| *id)
        };
        let answer = match request {
            Request::Start(start) => return self.start(host, start),
            Request::Watch { execution } => match named(self, &execution) {
                Some(id) if self.executions.get(&id).is_some_and(Execution::is_running) => {
                    self.connections
                        .get_mut(&host)
                        .into_iter()
                        .for_each(|host| host.watch(id, None));
                    return Ok(());
                }
                _ => Answer::Unknown,
            },
            Request::Kill { execution } => match named(self, &execution) {
                Some(id) => {
                    self.end(id, Cause::Killed);
                    Answer::Killing
                }
                None => Answer::Unknown,
            },
            Request::Signal { execution, signal } => {
                let execution = named(self, &execution).and_then(|id| self.executions.get(&id));
                execution.map_or(Answer::Unknown, |execution| execution.signal(signal))
            }
            Request::List => {
                let names = |running| {
                    let executions = self.executions.values();
                    let of_kind = executions.filter(move |one| one.is_running() == running);
                    of_kind.map(|execution| execution.name.clone()).collect()
                };
                Answer::Executions { running: names(true), left_behind: names(false) }
            }
            Request::Egress => {
                match self.egress.as_ref().map(|egress| egress.as_fd().try_clone_to_owned()) {
                    Some(descriptor) => {
                        let descriptor = descriptor?;
                        let host = self.connections.get_mut(&host);
                        return host
                            .map_or(Ok(()), |host| host.answer_with(&Answer::Egress, descriptor));
                    }
                    None => Answer::Refused { reason: "it has no way out".to_owned() },
                }
            }
            Request::Inspect { places } => {
                // Looking takes a descriptor, too.
                self.spare = None;
                let facts = facts::gather(&places);
                self.spare = self.nothing.try_clone().ok();
                Answer::Facts(Box::new(facts))
            }
            Request::Other => {
                // What came along for it must not go to the next start.
                if let Some(connection) = self.connections.get_mut(&host) {
                    connection.forget_along();
                }
                Answer::Refused { reason: "this runner does not know the request".to_owned() }
            }
        };
        self.connections.get_mut(&host).map_or(Ok(()), |host| host.answer(&answer))
    }

    fn start(&mut self, host: u64, start: Start) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&host) else { return Ok(()) };
        // Those of a start that is refused must not go to the next one.
        let mut descriptors = connection.take(start.io.descriptors());
        let taken = self.executions.values().any(|execution| execution.name == start.execution);
        if taken || self.stopping {
            let reason =
                if taken { "there is one of that name" } else { "the sandbox is stopping" };
            return connection.answer(&Answer::Refused { reason: reason.to_owned() });
        }
        let kills = self.memory_kills.so_far();
        let started = Execution::start(start, &mut descriptors, &self.nothing, kills);
        let (execution, host_end) = match started {
            Ok(started) => started,
            Err(error) => {
                let reason = processes::why_not_started(&error);
                return connection.answer(&Answer::Refused { reason });
            }
        };
        let id = self.number();
        self.wait_for(Source::Supervisor(id), execution.line())?;
        for stream in 0..2 {
            let source = execution.capture.as_ref().and_then(|capture| capture.source(stream));
            if let Some(source) = source {
                self.wait_for(Source::Stream(id, stream), source)?;
            }
        }
        self.executions.insert(id, execution);
        if let Some(connection) = self.connections.get_mut(&host) {
            // That it has started says that it has written nothing yet.
            connection.watch(id, Some(Written::default()));
            connection.terminal_of = host_end.is_some().then_some(id);
            connection.terminal = host_end;
        }
        Ok(())
    }

    fn end(&mut self, id: u64, cause: Cause) {
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.end(cause);
        }
    }

    fn hear_supervisor(&mut self, id: u64) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let (answer, goes_on) = execution.hear();
        if !goes_on {
            // An error says that it is not waited for already.
            let _gone = epoll::delete(&self.epoll, execution.line());
        }
        if let Some(answer) = answer {
            self.tell_watchers(id, &answer);
        }
        self.settle(id, false);
    }

    fn hear_stream(&mut self, id: u64, stream: usize) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let read = execution
            .capture
            .as_mut()
            .map_or(Ok(0), |capture| capture.read(stream, &mut self.buffer));
        if read.is_err() {
            // Nobody would know what it does.
            execution.end(Cause::Unkept);
        }
        execution.capture.iter_mut().for_each(|capture| stop_waiting(&self.epoll, capture));
    }

    /// Tells the end of an execution if it has come.
    fn settle(&mut self, id: u64, nothing_is_left: bool) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let end = execution.settle(nothing_is_left, &self.memory_kills);
        execution.capture.iter_mut().for_each(|capture| stop_waiting(&self.epoll, capture));
        if let Some(end) = end {
            self.tell_watchers(id, &end);
        }
    }

    fn tell_watchers(&mut self, execution: u64, answer: &Answer) {
        let is_end = matches!(answer, Answer::NotStarted(_) | Answer::Ended(_));
        let watchers: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.watching == Some(execution))
            .map(|(id, _)| *id)
            .collect();
        for id in watchers {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            if is_end {
                connection.watching = None;
            }
            if connection.answer(answer).is_err() {
                self.forget_host(id);
            } else if is_end {
                self.answer_requests(id);
            }
        }
    }

    /// Tells every host how far what it watches has come, and waits for those that do not read.
    fn tell_hosts(&mut self) {
        let mut gone = Vec::new();
        for (id, connection) in &mut self.connections {
            let watched = connection.watching.and_then(|watched| self.executions.get(&watched));
            let watched = watched.filter(|execution| execution.has_started());
            let told = watched.map_or(Ok(()), |execution| connection.tell(execution.written()));
            let waited = connection.new_interest().map_or(Ok(()), |interest| {
                let data = epoll::EventData::new_u64(Source::Connection(*id).token());
                epoll::modify(&self.epoll, connection.source(), data, interest)
            });
            if told.is_err() || waited.is_err() {
                gone.push(*id);
            }
        }
        for id in gone {
            self.forget_host(id);
        }
    }

    /// A command with a terminal goes with the host that has the other end of it.
    fn forget_host(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let _gone = epoll::delete(&self.epoll, connection.source());
        if let Some(execution) = connection.terminal_of {
            self.end(execution, Cause::Killed);
        }
    }
}

/// Waits no more for what streams that have ended were read from.
fn stop_waiting(epoll: &OwnedFd, capture: &mut Capture) {
    for ended in capture.take_ended() {
        // An error says that it was not waited for.
        let _gone = epoll::delete(epoll, &ended);
    }
}
