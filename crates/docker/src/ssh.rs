//! An engine on another machine, reached as the docker client reaches it: `docker system dial-stdio`
//! there, over ssh. The user's own configuration of ssh says who is trusted and how; nothing is asked.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tower_service::Service;

/// Where ssh goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl SshAddress {
    /// Reads `[user@]host[:port]`; none when it is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (host, port) = match place.rsplit_once(':') {
            // An address of version 6 has brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (place, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // What begins like an option would be one.
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('-')
                && name.chars().all(|c| c.is_ascii_graphic() && !"/\\'\"`$;&|<>@".contains(c))
        };
        let is_well = is_name(host) && user.is_none_or(is_name);
        is_well.then(|| Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        // Nobody is there to be asked, and a machine that is gone is noticed.
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]);
        command.args(["-o", "ServerAliveInterval=15"]);
        command.args(self.user.iter().flat_map(|user| ["-l", user]));
        command.args(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        command.args(["--", &self.host, "docker", "system", "dial-stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for Armor, which may need the engine to do what it asks for.
        command.process_group(0);
        command.kill_on_drop(true);
        command
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Makes connections to the engine on that machine.
#[derive(Debug, Clone)]
pub(crate) struct Dialer(pub(crate) SshAddress);

impl Service<Uri> for Dialer {
    type Response = TokioIo<Tunnel>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let mut command = self.0.command();
        Box::pin(async move { Ok(TokioIo::new(Tunnel::new(command.spawn()?)?)) })
    }
}

/// A connection to the engine through a process of ssh, which ends with it.
pub(crate) struct Tunnel {
    /// None once it was closed.
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// How ssh ends; none once it has. It is killed when this is dropped.
    end: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Tunnel {
    fn new(mut ssh: Child) -> io::Result<Self> {
        let missing = || io::Error::other("ssh has no streams");
        let input = Some(ssh.stdin.take().ok_or_else(missing)?);
        let output = ssh.stdout.take().ok_or_else(missing)?;
        let mut errors = ssh.stderr.take().ok_or_else(missing)?;
        let end = Box::pin(async move {
            let mut said = Vec::new();
            // What cannot be read is not told.
            let _read = (&mut errors).take(4096).read_to_end(&mut said).await;
            // It would wait for somebody to read the rest.
            drop(errors);
            let status = ssh.wait().await?;
            if status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&said);
            let text = format!("ssh ended with {status}: {}", said.trim());
            Err(io::Error::new(io::ErrorKind::ConnectionReset, text))
        });
        Ok(Self { input, output, end: Some(end) })
    }

    fn input(&mut self) -> io::Result<Pin<&mut ChildStdin>> {
        self.input.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        // The engine has closed it, or the way there broke: ssh knows which.
        let Some(end) = &mut self.end else { return Poll::Ready(Ok(())) };
        let ended = ready!(end.as_mut().poll(cx));
        self.end = None;
        Poll::Ready(ended)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = &mut self.input {
            ready!(Pin::new(input).poll_shutdown(cx))?;
        }
        // Only this closes it.
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

impl Connection for Tunnel {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_as_it_was_written() {
        for text in ["far", "me@far", "far:2222", "me@far:2222", "me@[::1]:22", "[fe80::1]"] {
            let address = SshAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), format!("ssh://{text}"));
        }
        let address = SshAddress::parse("me@far:2222/").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("far", Some(2222)));
    }

    // No option, no word of a shell, comes in by an address.
    #[test]
    fn what_is_no_address_is_none() {
        let wrong = [
            "",
            "-oProxyCommand=x",
            "me@-o",
            "-l@far",
            "far:port",
            "far:99999",
            "a b",
            "far/path",
            "far;id",
            "$(id)",
            "a@b@c'",
            "@far",
            "me@",
        ];
        for text in wrong {
            assert_eq!(SshAddress::parse(text), None, "{text}");
        }
    }
}
