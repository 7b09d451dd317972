//! SOCKS5 (RFC 1928): `CONNECT` alone, without a password.

use std::net::{Ipv4Addr, SocketAddr};

use armor_core::network::{Destination, Host, Refusal};
use fast_socks5::server::{Socks5ServerProtocol, states};
use fast_socks5::util::target_addr::TargetAddr;
use fast_socks5::{ReplyError, Socks5Command};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::PATIENCE;
use crate::gate::{Gate, Stopped};
use crate::relay::relay;

/// Programs are told no address: it is none of theirs.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

type Asked = (Socks5ServerProtocol<TcpStream, states::CommandRead>, Socks5Command, TargetAddr);

pub(crate) async fn serve(stream: TcpStream, gate: Gate) {
    let asked = async {
        let protocol = Socks5ServerProtocol::accept_no_auth(stream).await?;
        protocol.read_command().await
    };
    // Whoever breaks off, or says what is none of the protocol, hears nothing more.
    let Ok(Ok(asked)) = timeout(PATIENCE, asked).await else { return };
    if let Err(error) = answer(asked, gate).await {
        tracing::debug!(%error, "a connection by SOCKS5 ended");
    }
}

async fn answer(
    (protocol, command, target): Asked,
    gate: Gate,
) -> Result<(), fast_socks5::server::SocksServerError> {
    if command != Socks5Command::TCPConnect {
        return protocol.reply_error(&ReplyError::CommandNotSupported).await;
    }
    let Some(destination) = destination(&target) else {
        gate.malformed(&format!("{target:?}"));
        return protocol.reply_error(&ReplyError::AddressTypeNotSupported).await;
    };
    match gate.connect(&destination).await {
        Ok(upstream) => {
            let stream = protocol.reply_success(NOWHERE).await?;
            // How it ends is between the two.
            if let Err(error) = relay(stream, upstream).await {
                tracing::debug!(%error, to = %destination, "a connection ended");
            }
            Ok(())
        }
        Err(stopped) => protocol.reply_error(&reply(&stopped)).await,
    }
}

fn destination(target: &TargetAddr) -> Option<Destination> {
    let (host, port) = match target {
        TargetAddr::Ip(address) => (Host::Address(address.ip()), address.port()),
        TargetAddr::Domain(name, port) => (name.parse().ok()?, *port),
    };
    (port > 0).then_some(Destination { host, port })
}

const fn reply(stopped: &Stopped) -> ReplyError {
    match stopped {
        Stopped::Refused(Refusal::Malformed) => ReplyError::AddressTypeNotSupported,
        Stopped::Refused(_) => ReplyError::ConnectionNotAllowed,
        Stopped::Failed(_) => ReplyError::HostUnreachable,
    }
}
